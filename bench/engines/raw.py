"""TensorFlow's own step of the graphs that the application serves, in process."""

import contextlib
from collections.abc import Iterator
from functools import partial

from bench.engines.engine import Engine, Kind, Measure, Setup
from bench.engines.surroundings import environment
from bench.latency import Latencies
from bench.processes import Child, running
from bench.raw import client
from bench.raw.question import Question
from bench.rounds import HttpFigures
from bench.small import servables
from bench.small.servables import Variant, base_path
from bench.spread import Spread
from bench.workload import Workload

_TIMEOUT_S = 300.0
_OWN_CHOICE = (0, 0)
"""Threads, as the application leaves them."""


@contextlib.contextmanager
def running_raw(setup: Setup, variant: Variant) -> Iterator[Child]:
    """The child that answers questions."""
    command = client.command(base_path(setup.cache, variant) / "1", _OWN_CHOICE)
    log = setup.logs / f"raw-{variant.name}.log"
    with running(command, log, environment(setup), pipes=True) as child:
        client.wait_until_ready(child, _TIMEOUT_S)
        yield child


def _measure(child: Child, workload: Workload, batch: int, seconds: float) -> HttpFigures:
    """Steps half way through the answers; steps vary less than sessions do."""
    question = Question(batch, workload.mean_past, seconds / 4, prompt=workload.prompt_tokens)
    raw = client.measure(child, question, _TIMEOUT_S)
    first = Spread(raw.prefill_ms, raw.prefill_ms)
    seen = Latencies(raw.calls * batch, raw.tokens_per_s, 1.0, first, raw.step_ms, raw.step_ms)
    return HttpFigures(seen, {}, 0.0)


@contextlib.contextmanager
def _started(setup: Setup, variant: Variant) -> Iterator[Measure]:
    with running_raw(setup, variant) as child:
        yield partial(_measure, child)


def _engine(name: str, title: str, variant: Variant) -> Engine:
    def prepare(setup: Setup) -> None:
        base_path(setup.cache, variant)

    return Engine(
        name, f"raw TensorFlow step, {title}", Kind.RAW, prepare, partial(_started, variant=variant)
    )


BF16 = _engine("raw-bf16", "resident bf16", servables.BF16)
F32 = _engine("raw-f32", "resident f32", servables.F32)
EXPLICIT = _engine("raw-explicit", "explicit bf16", servables.EXPLICIT_BF16)
