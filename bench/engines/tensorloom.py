"""This application, as `python -m deployments` serves it, over HTTP."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml

from bench import target, usage
from bench.engines.contender import LLAMA as LLAMA_MODEL
from bench.engines.contender import Contender, ContenderKind, Measure, Setup
from bench.errors import ProcessEnded
from bench.load import Address, Served
from bench.processes import HOST, Child, running
from bench.random_model import servables
from bench.random_model.servables import Variant, base_path
from bench.target import Target

PHRASE = 8
"""Tokens of the phrase that a repetitive prompt repeats."""


@contextlib.contextmanager
def serving(setup: Setup, chosen: Target) -> Iterator[Served]:
    """Starts the application on a Ray of its own, ready to answer; ends it with that Ray and its files."""
    directory = Path(tempfile.mkdtemp(prefix="tl-", dir="/tmp"))  # short: Ray's sockets lie below it
    config, log = directory / "serve.yaml", setup.logs / f"tensorloom-{chosen.model}.log"
    config.write_text(yaml.safe_dump(dict(chosen.config)))
    command = [sys.executable, "-m", "deployments", str(config)]
    variables = {**os.environ, "RAY_ADDRESS": "local", "RAY_TMPDIR": str(directory)}
    try:
        with running(command, log, variables, stop=signal.SIGINT) as child:
            served = Served(Address(HOST, chosen.port), child, chosen.model)
            served.wait_until_healthy(setup.start_timeout_s)
            setup.model_server_environment.update(_model_server_environment(child))
            yield served
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def serving_variant(setup: Setup, variant: Variant) -> contextlib.AbstractContextManager[Served]:
    """Starts the application with one servable of the random model, whose name is the variant's."""
    return serving(setup, target_of(variant)(setup))


def target_of(variant: Variant) -> Callable[[Setup], Target]:
    """Returns a function that exports the variant where it is missing and configures the application."""
    return lambda setup: target.single(variant.name, base_path(setup.cache, variant), setup.decoder)


def model_server_environment(setup: Setup) -> Mapping[str, str]:
    """Returns the variables of the application's model server, which others that run its graphs also get.

    Starts the application where it has not run yet.
    """
    if not setup.model_server_environment:
        with serving_variant(setup, servables.BF16):
            pass
    return setup.model_server_environment


def _model_server_environment(child: Child) -> dict[str, str]:
    for process in child.tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            if usage.part(process.cmdline(), process.name()) == usage.MODEL_SERVER:
                return process.environ()
    raise ProcessEnded(f"{child.name} has no model server:\n{child.log}")


@contextlib.contextmanager
def _started(setup: Setup, variant: Variant) -> Iterator[Measure]:
    with serving_variant(setup, variant) as served:
        yield served.at_rest().measure


def _contender(name: str, title: str, variant: Variant, **options: Any) -> Contender:
    started = partial(_started, variant=variant)
    return Contender(name, f"Tensorloom, {title}", ContenderKind.OWN, target_of(variant), started, **options)


BF16 = _contender("tensorloom-bf16", "resident bf16", servables.BF16)
F32 = _contender("tensorloom-f32", "resident f32", servables.F32)
INT8 = _contender("tensorloom-int8", "resident int8", servables.INT8)
EXPLICIT = _contender("tensorloom-explicit", "explicit bf16", servables.EXPLICIT_BF16)
REPETITIVE = _contender(
    "tensorloom-repetitive", "resident bf16, repetitive text", servables.LOOPING, phrase=PHRASE
)
LLAMA = _contender("tensorloom-llama", "resident bf16, Llama", servables.LLAMA_BF16, model=LLAMA_MODEL)
