"""OpenVINO GenAI's continuous batching, in process."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bench.engines.engine import Engine, Kind, Measure, Setup
from bench.engines.environment import Environment, child_environment
from bench.engines.in_process import working
from bench.processes import finished
from bench.small.checkpoint import VARIED
from bench.small.servables import written_checkpoint

_ENVIRONMENT = Environment(
    "openvino",
    ("torch==2.13.0", "openvino-genai==2026.4.1.0", "optimum-intel==2.2.0"),
    unwanted=("torchvision",),
)


def _model(setup: Setup) -> Path:
    checkpoint = written_checkpoint(setup.cache, VARIED)

    def convert(path: Path) -> None:
        program = str(_ENVIRONMENT.install(setup.cache) / "bin/optimum-cli")
        options = ["--task", "text-generation-with-past", "--weight-format", "fp32"]
        command = [program, "export", "openvino", "-m", str(checkpoint), *options, str(path)]
        finished(command, path.with_suffix(".log"), child_environment())

    return setup.cache.made("openvino/varied", "1", convert)


def _prepare(setup: Setup) -> None:
    _model(setup)


@contextlib.contextmanager
def _started(setup: Setup) -> Iterator[Measure]:
    threads = str(len(os.sched_getaffinity(0)))
    python = str(_ENVIRONMENT.python(setup.cache))
    command = [python, "-m", "bench.workers.openvino", str(_model(setup)), threads]
    with working(command, setup.logs / "openvino.log", child_environment()) as measure:
        yield measure


ENGINE = Engine("openvino", "OpenVINO GenAI, bf16", Kind.LIBRARY, _prepare, _started)
