"""KerasHub's `generate` on TensorFlow, in process."""

import contextlib
import os
from collections.abc import Iterator

from bench.engines.engine import Engine, Kind, Measure, Setup
from bench.engines.environment import Environment, child_environment
from bench.engines.in_process import working

_ENVIRONMENT = Environment("kerashub", ("keras-hub==0.32.0", "keras==3.15.1", "tensorflow==2.21.0"))
_MOST_SESSIONS = 16
"""Batches are measured whole, and take half a minute from here on."""


def _prepare(setup: Setup) -> None:
    _ENVIRONMENT.install(setup.cache)


@contextlib.contextmanager
def _started(setup: Setup) -> Iterator[Measure]:
    threads = str(len(os.sched_getaffinity(0)))
    command = [str(_ENVIRONMENT.python(setup.cache)), "-m", "bench.workers.keras_hub", threads]
    with working(command, setup.logs / "kerashub.log", child_environment()) as measure:
        yield measure


ENGINE = Engine("kerashub", "KerasHub generate, f32", Kind.LIBRARY, _prepare, _started, _MOST_SESSIONS)
