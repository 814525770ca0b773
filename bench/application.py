"""The application as a child: what `make serve` runs, on a Ray of its own, ready when /health says so."""

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

import psutil
import yaml

from bench import cpu
from bench.processes import Child, ProcessEnded, running
from bench.settings import HOST, Settings

_LOOK_S = 0.5


@contextlib.contextmanager
def serving(settings: Settings, log: Path) -> Iterator[Child]:
    """Started, not yet ready; gone afterwards, with its Ray and all files of that."""
    directory = Path(tempfile.mkdtemp(prefix="tl-", dir="/tmp"))  # short: Ray's sockets lie below it
    config = directory / "serve.yaml"
    config.write_text(yaml.safe_dump(dict(settings.config)))
    try:
        command = [sys.executable, "-m", "deployments", str(config)]
        with running(command, log, _environment(directory), stop=signal.SIGINT) as child:
            yield child
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def wait_until_ready(child: Child, settings: Settings, timeout_s: float) -> None:
    """Return once every model answers; ProcessEnded or TimeoutError where that does not come."""
    wait_until_healthy(child, settings.port, timeout_s)


def wait_until_healthy(child: Child, port: int, timeout_s: float) -> None:
    """The same of any server that has a /health."""
    end = time.monotonic() + timeout_s
    while not _healthy(port):
        child.check()
        if time.monotonic() > end:
            raise TimeoutError(f"{child.name} was not ready within {timeout_s:.0f} s:\n{child.log}")
        time.sleep(_LOOK_S)


def model_server_environment(child: Child) -> dict[str, str]:
    """What the application's model server runs with, for others to run with the same."""
    for process in child.tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            if cpu.part(process.cmdline(), process.name()) == cpu.MODEL_SERVER:
                return process.environ()
    raise ProcessEnded(f"{child.name} has no model server:\n{child.log}")


def _environment(directory: Path) -> dict[str, str]:
    """A new cluster is started, whatever runs on this machine: its files are in `directory`."""
    return {**os.environ, "RAY_ADDRESS": "local", "RAY_TMPDIR": str(directory)}


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
