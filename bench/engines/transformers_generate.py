"""transformers' `generate`, in process."""

import contextlib
import os
from collections.abc import Iterator

from bench.engines.engine import Engine, Kind, Measure, Setup
from bench.engines.environment import child_environment
from bench.engines.in_process import working
from bench.engines.transformers_serve import ENVIRONMENT
from bench.small.checkpoint import VARIED
from bench.small.servables import written_checkpoint


def _prepare(setup: Setup) -> None:
    ENVIRONMENT.install(setup.cache)
    written_checkpoint(setup.cache, VARIED)


@contextlib.contextmanager
def _started(setup: Setup) -> Iterator[Measure]:
    python = str(ENVIRONMENT.python(setup.cache))
    checkpoint = str(written_checkpoint(setup.cache, VARIED))
    threads = str(len(os.sched_getaffinity(0)))
    command = [python, "-m", "bench.workers.transformers_generate", checkpoint, threads]
    with working(command, setup.logs / "transformers-generate.log", child_environment()) as measure:
        yield measure


ENGINE = Engine("transformers-generate", "transformers generate, bf16", Kind.LIBRARY, _prepare, _started)
