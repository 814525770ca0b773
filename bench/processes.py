"""Child processes, each in a session of its own, which are ended with all their descendants in every case."""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

from bench.errors import ProcessEnded

HOST = "127.0.0.1"
_GRACE_S = 30.0
_LOG_TAIL = 2000
_ENDING = (signal.SIGALRM, signal.SIGINT, signal.SIGTERM)


class Child:
    """A running process, which the signal `stop` ends.

    Its stderr goes to `log`, and so does its stdout unless `pipes` is set.
    """

    def __init__(
        self, command: Sequence[str], log: Path, env: Mapping[str, str], stop: signal.Signals, pipes: bool
    ) -> None:
        self.name = log.stem
        self._log = log
        self._stop = stop
        with log.open("wb") as sink:
            self.process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else sink,
                stderr=sink,
                env=dict(env),
                start_new_session=True,
            )

    @property
    def tree(self) -> list[psutil.Process]:
        """The process and its descendants; empty where it has ended."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def check(self) -> None:
        """Raises ProcessEnded unless the process is running."""
        if self.process.poll() is not None:
            raise ProcessEnded(f"{self.name} ended with status {self.process.returncode}:\n{self.log}")

    @property
    def log(self) -> str:
        """The end of the log."""
        return self._log.read_text(errors="replace")[-_LOG_TAIL:]

    def ask(self, line: bytes, timeout_s: float) -> bytes:
        """Writes a line to the child's stdin and returns the line that it answers on stdout."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()
        return self.read_line(timeout_s)

    def read_line(self, timeout_s: float) -> bytes:
        """Returns the child's next line; raises ProcessEnded or TimeoutError where none comes."""
        stdout = self.process.stdout
        assert stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            if not selector.select(timeout_s):
                raise TimeoutError(f"{self.name} gave no answer within {timeout_s:.0f} s:\n{self.log}")
        line: bytes = stdout.readline()
        if not line:
            self.process.wait()
            self.check()
        return line

    def end(self) -> None:
        """Signals the whole group, as Ctrl-C would, and kills what is left after a while."""
        with _signals_ignored():
            self._end()

    def _end(self) -> None:
        tree = self.tree
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, self._stop)
        _, left = psutil.wait_procs(tree, timeout=_GRACE_S)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    """Ignores the signals that end the benchmark: ending a child is bounded by a timeout of its own."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def running(
    command: Sequence[str],
    log: Path,
    env: Mapping[str, str] = os.environ,
    stop: signal.Signals = signal.SIGTERM,
    pipes: bool = False,
) -> Iterator[Child]:
    """Starts `command`, and ends it with its descendants afterwards."""
    child = Child(command, log, env, stop, pipes)
    try:
        yield child
    finally:
        child.end()


def finished(command: Sequence[str], log: Path, env: Mapping[str, str] = os.environ) -> None:
    """Runs `command` to its end; raises ProcessEnded, with the end of its log, where it fails."""
    with running(command, log, env) as child:
        if child.process.wait():
            child.check()


def free_port() -> int:
    """Returns a TCP port of HOST that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
