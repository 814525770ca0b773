"""TensorFlow's own step of the graphs that the application serves, in process."""

import contextlib
import sys
from collections.abc import Iterator
from functools import partial

from bench.engines.contender import Contender, ContenderKind, Measure, Setup
from bench.engines.external import ask, working
from bench.engines.tensorloom import model_server_environment, target_of
from bench.latency import Measurement
from bench.processes import Child
from bench.random_model import servables
from bench.random_model.servables import Variant
from bench.target import Target
from bench.workers.answers import StepQuestion
from bench.workload import Workload


@contextlib.contextmanager
def stepping(setup: Setup, chosen: Target) -> Iterator[Child]:
    """Starts the worker that answers a `StepQuestion`."""
    command = [sys.executable, "-m", "bench.workers.raw", str(chosen.servable), *map(str, chosen.threads)]
    log = setup.logs / f"raw-{chosen.baseline}.log"
    with working(command, log, model_server_environment(setup)) as child:
        yield child


def measure(child: Child, workload: Workload, batch: int, seconds: float) -> Measurement:
    """Measures prefills, and steps half way through the answers for a quarter of the time: they vary less."""
    question = StepQuestion(batch, workload.mean_past, seconds / 4, prompt=workload.prompt_tokens)
    return ask(child, question)


@contextlib.contextmanager
def _started(setup: Setup, variant: Variant) -> Iterator[Measure]:
    with stepping(setup, target_of(variant)(setup)) as child:
        yield partial(measure, child)


def _contender(name: str, title: str, variant: Variant) -> Contender:
    started = partial(_started, variant=variant)
    return Contender(name, f"raw TensorFlow step, {title}", ContenderKind.RAW, target_of(variant), started)


BF16 = _contender("raw-bf16", "resident bf16", servables.BF16)
F32 = _contender("raw-f32", "resident f32", servables.F32)
INT8 = _contender("raw-int8", "resident int8", servables.INT8)
EXPLICIT = _contender("raw-explicit", "explicit bf16", servables.EXPLICIT_BF16)
