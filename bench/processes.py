"""Processes of the benchmark's own, each in a session of its own; they end for certain, with descendants."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

_GRACE_S = 30.0
_LOG_TAIL = 2000
_ENDING = (signal.SIGALRM, signal.SIGINT, signal.SIGTERM)


class ProcessEnded(Exception):
    """A process ended by itself; the message has the end of its log."""


class Child:
    """A running process that `stop` ends.

    What it writes on stderr goes to `log`, and so does stdout unless `pipes` is set.
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
        """The process and its descendants; none where it has ended."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def check(self) -> None:
        """ProcessEnded unless it runs."""
        if self.process.poll() is not None:
            raise ProcessEnded(f"{self.name} ended with status {self.process.returncode}:\n{self.log}")

    @property
    def log(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(errors="replace")[-_LOG_TAIL:]

    def end(self) -> None:
        """Signal the whole group, as Ctrl-C would; whatever is left after a while is killed."""
        with _undisturbed():
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
def _undisturbed() -> Iterator[None]:
    """Signals that end the benchmark are passed over: what is inside has a bound of its own."""
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
    child = Child(command, log, env, stop, pipes)
    try:
        yield child
    finally:
        child.end()


def finished(command: Sequence[str], log: Path, env: Mapping[str, str] = os.environ) -> None:
    """Run `command` to its end; ProcessEnded, with the end of its log, where it fails."""
    with running(command, log, env) as child:
        if child.process.wait():
            child.check()
