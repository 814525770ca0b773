"""The application as a child: `serve run` on a Ray of its own, ready when /health says so."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import yaml

from bench.processes import Child, running
from bench.settings import HOST, Settings

_LOOK_S = 0.5
_ENVIRONMENT = {"RAY_SERVE_THROUGHPUT_OPTIMIZED": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
"""As `make serve` sets it."""


@contextlib.contextmanager
def serving(settings: Settings, log: Path) -> Iterator[Child]:
    """Started, not yet ready; gone afterwards, with its Ray and all files of that."""
    directory = Path(tempfile.mkdtemp(prefix="tl-", dir="/tmp"))  # short: Ray's sockets lie below it
    config = directory / "serve.yaml"
    config.write_text(yaml.safe_dump(dict(settings.config)))
    serve = str(Path(sys.executable).with_name("serve"))
    try:
        command = [serve, "run", "--address=local", str(config)]
        with running(command, log, _environment(directory), stop=signal.SIGINT) as child:
            yield child
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def wait_until_ready(child: Child, settings: Settings, timeout_s: float) -> None:
    """Return once every model answers; ProcessEnded or TimeoutError where that does not come."""
    end = time.monotonic() + timeout_s
    while not _healthy(settings.port):
        child.check()
        if time.monotonic() > end:
            raise TimeoutError(f"{child.name} was not ready within {timeout_s:.0f} s:\n{child.log}")
        time.sleep(_LOOK_S)


def _environment(directory: Path) -> dict[str, str]:
    """No cluster that runs already can be meant: its address is left out, and its files are elsewhere."""
    inherited = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    return {**_ENVIRONMENT, **inherited, "RAY_TMPDIR": str(directory)}


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
