"""Model server processes for tests: the embedded server, or the binary that TENSORFLOW_MODEL_SERVER names.

Knows the flags that say where to listen, and nothing of models.
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

ROOT = Path(__file__).parent.parent
OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
)
"""Unlimited messages, eager reconnection, and a connection that no other channel shares."""
_LOOK_SECONDS = 0.2


def command() -> list[str]:
    """What starts a model server here."""
    binary = os.environ.get("TENSORFLOW_MODEL_SERVER")
    return shlex.split(binary) if binary else [sys.executable, "-m", "modelserver"]


def is_embedded() -> bool:
    return not os.environ.get("TENSORFLOW_MODEL_SERVER")


class EndedError(Exception):
    """The process ended before it answered."""

    def __init__(self, code: int, log: str) -> None:
        super().__init__(f"the model server ended with {code}:\n{log}")
        self.code = code
        self.log = log


class ModelServer:
    """A running process, listening on a Unix socket of its own; ready once entered, gone once left."""

    def __init__(self, *flags: str, program: Sequence[str] | None = None) -> None:
        self._flags = flags
        self._program = list(program or command())
        self._directory = tempfile.TemporaryDirectory(prefix="ms", dir="/tmp")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start without waiting; the socket's path stays the same from one start to the next."""
        listen = [f"--grpc_socket_path={self.socket}", "--port=0"]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._program, *self._flags, *listen], cwd=ROOT, stdout=log, stderr=log
            )

    def wait_until_ready(self) -> None:
        """Return once the server answers; EndedError if it ends instead."""
        with self.channel() as channel:
            ready = grpc.channel_ready_future(channel)
            while self._running.poll() is None:
                with suppress(grpc.FutureTimeoutError):
                    ready.result(timeout=_LOOK_SECONDS)
                    return
            ready.cancel()
        raise EndedError(self._running.returncode, self.log)

    def __enter__(self) -> Self:
        try:
            self.start()
            self.wait_until_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def channel(self) -> grpc.Channel:
        return grpc.insecure_channel(self.target, options=OPTIONS)

    def terminate(self) -> None:
        """Ask the process to end, without waiting."""
        self._running.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """The exit status, once the process has ended."""
        return self._running.wait()

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the process and remove what it left behind."""
        self.kill()
        self._directory.cleanup()

    @property
    def target(self) -> str:
        return f"unix:{self.socket}"

    @property
    def socket(self) -> str:
        return os.path.join(self._directory.name, "s")

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def log(self) -> str:
        """All that the process has written."""
        return self._log_path.read_text(errors="replace")

    @property
    def _log_path(self) -> Path:
        return Path(self._directory.name, "log")

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server was not started"
        return self._process
