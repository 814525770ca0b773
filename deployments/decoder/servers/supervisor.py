"""The processes of managed model servers: started, restarted when they end, and ended with this process."""

import asyncio
import contextlib
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

from deployments.config import ManagedServer
from deployments.decoder.servers import tether
from deployments.malloc import MALLOC_KEEPS_PAGES

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_ENVIRONMENT = {
    **MALLOC_KEEPS_PAGES,
    # Served weights do not change, so oneDNN may pack each once instead of in every call.
    "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
_OVERRIDES = {
    # With the single arena of our Python processes, TensorFlow's threads would share one lock. 0 is glibc's
    # own default.
    "MALLOC_ARENA_MAX": "0",
}
_GRACE_S = 5.0
"""How long a server may take to end after SIGTERM before it is killed."""


class ManagedServerError(RuntimeError):
    """A managed model server cannot be started as configured."""


class Supervisor:
    """Runs `config.replicas` model servers on Unix sockets, each kept alive by its own task."""

    def __init__(self, config: ManagedServer, model: str) -> None:
        """Raises ManagedServerError if the base path holds no version."""
        self._base_path = _checked_base_path(config.base_path)
        self._config = config
        self._model = model
        self._sockets = Path(tempfile.mkdtemp(prefix="tensorloom-"))
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def targets(self) -> list[str]:
        """The gRPC targets of all servers."""
        return [f"unix:{self._socket(i)}" for i in range(self._config.replicas)]

    @property
    def pids(self) -> list[int]:
        """Process ids of the servers that run now."""
        return [process.pid for process in self._processes.values() if process.returncode is None]

    async def start(self) -> None:
        """Starts all servers; raises ManagedServerError if the configured binary cannot be run."""
        for i in range(self._config.replicas):
            process = await self._launch(i)
            self._tasks.append(asyncio.create_task(self._keep_alive(i, process)))

    async def exited(self) -> int:
        """Waits until any server has ended; returns its exit status.

        Meant for the start: a server that ends then has a wrong setting.
        """
        waits = [asyncio.create_task(process.wait()) for process in self._processes.values()]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for wait in waits:
                wait.cancel()

    async def close(self) -> None:
        """Ends all servers and removes their sockets."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(_end(process) for process in self._processes.values()))
        shutil.rmtree(self._sockets, ignore_errors=True)

    def _socket(self, i: int) -> Path:
        return self._sockets / f"{i}.sock"

    async def _keep_alive(self, i: int, process: asyncio.subprocess.Process) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            status = await process.wait()
            log.warning("model server %d of %s ended with status %d; restarting it", i, self._model, status)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            process = await self._launch(i)

    async def _launch(self, i: int) -> asyncio.subprocess.Process:
        self._socket(i).unlink(missing_ok=True)
        command = [sys.executable, tether.__file__, str(os.getpid()), *self._command(i)]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, env={**_ENVIRONMENT, **os.environ, **_OVERRIDES}
        )
        self._processes[i] = process
        return process

    def _command(self, i: int) -> list[str]:
        return [
            *_program(self._config.binary),
            "--port=0",
            f"--grpc_socket_path={self._socket(i)}",
            f"--model_name={self._model}",
            f"--model_base_path={self._base_path}",
            "--enable_serialization_as_tensor_content=true",
            *self._config.flags,
        ]


def _program(binary: str | None) -> list[str]:
    found = shutil.which(binary or "tensorflow_model_server")
    if found is not None:
        return [found]
    if binary is not None:
        raise ManagedServerError(f"binary {binary!r} is not an executable file")
    return [sys.executable, "-m", "modelserver"]


def _checked_base_path(base_path: Path) -> Path:
    absolute = base_path.absolute()
    if not any(entry.name.isdigit() for entry in absolute.glob("*/")):
        raise ManagedServerError(f"base_path {absolute} holds no version directory such as {absolute}/1")
    return absolute


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
