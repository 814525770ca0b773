"""Other engines: Python environments of their own, and contenders that run in them."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from bench import usage
from bench.engines.contender import GPT2, Contender, ContenderKind, Measure, Setup
from bench.errors import ProcessEnded
from bench.latency import Latencies, Measurement
from bench.load import Address, Served
from bench.processes import HOST, Child, finished, free_port, running
from bench.random_model.servables import ROOT, VARIED, Cache
from bench.spread import Spread
from bench.streaming import Dialect
from bench.workers.answers import LoadQuestion, StepQuestion
from bench.workload import Workload

PROCESS = "process"
"""The one part of an engine that runs in process."""
_START_TIMEOUT_S = 400.0
_ANSWER_TIMEOUT_S = 400.0


@dataclass(frozen=True)
class Environment:
    """A Python environment, installed from the package registry where it is missing."""

    name: str
    requirements: tuple[str, ...]
    unwanted: tuple[str, ...] = ()
    """Dependencies to uninstall: they do not match the installed torch, and text does not need them."""

    def install(self, cache: Cache) -> Path:
        """Installs the environment where it is missing, and returns its directory."""
        key = " ".join([*self.requirements, "-", *self.unwanted])
        return cache.made(f"environments/{self.name}", key, self._make)

    def program(self, cache: Cache, name: str) -> str:
        """Returns the path of one of its programs."""
        return str(self.install(cache) / "bin" / name)

    def _make(self, path: Path) -> None:
        print(f"installing {self.name}", file=sys.stderr)
        log = path.with_suffix(".log")
        finished([sys.executable, "-m", "venv", str(path)], log)
        pip = [str(path / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
        try:
            finished([*pip, "install", *self.requirements], log)
            if self.unwanted:
                finished([*pip, "uninstall", "--yes", *self.unwanted], log)
        except ProcessEnded as error:
            raise ProcessEnded(f"{self.name} cannot be installed: {error}") from None


def child_environment(**variables: str) -> dict[str, str]:
    """Returns the variables of a process in such an environment: it may import this source tree."""
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **quiet, "PYTHONPATH": str(ROOT), **variables}


def varied_checkpoint(setup: Setup) -> Path:
    """Writes the random model's checkpoint where it is missing, and returns its directory."""
    return VARIED.written(setup.cache)


def threads() -> str:
    """Returns the number of cores that this process may use."""
    return str(len(os.sched_getaffinity(0)))


@dataclass(frozen=True)
class Server:
    """Another engine's HTTP server, as its contender starts it."""

    prepare: Callable[[Setup], object]
    command: Callable[[Setup, int], list[str]]
    """Returns the command that listens on the given port."""
    dialect: Callable[[Setup], Dialect]
    environment: Callable[[Setup], dict[str, str]] = lambda _: child_environment()

    def contender(self, name: str, title: str, model: str = GPT2) -> Contender:
        """Returns the contender."""
        started = partial(self._started, name)
        return Contender(name, title, ContenderKind.SERVER, self.prepare, started, model=model)

    @contextlib.contextmanager
    def _started(self, name: str, setup: Setup) -> Iterator[Measure]:
        port = free_port()
        command, environment = self.command(setup, port), self.environment(setup)
        with running(command, setup.logs / f"{name}.log", environment) as child:
            served = Served(Address(HOST, port, self.dialect(setup)), child)
            served.wait_until_healthy(_START_TIMEOUT_S)
            yield served.measure


@dataclass(frozen=True)
class Library:
    """Another engine's Python library, in a worker of `bench.workers`."""

    environment: Environment
    worker: str
    model: Callable[[Setup], Path] | None = None
    """Makes what the worker loads; None: it needs nothing."""

    def contender(self, name: str, title: str, most_sessions: int | None = None) -> Contender:
        """Returns the contender."""
        started = partial(self._started, name)
        return Contender(name, title, ContenderKind.LIBRARY, self._command, started, most_sessions)

    def _command(self, setup: Setup) -> list[str]:
        python = self.environment.program(setup.cache, "python")
        model = [str(self.model(setup))] if self.model else []
        return [python, "-m", f"bench.workers.{self.worker}", *model, threads()]

    @contextlib.contextmanager
    def _started(self, name: str, setup: Setup) -> Iterator[Measure]:
        with working(self._command(setup), setup.logs / f"{name}.log", child_environment()) as child:
            yield partial(_measure, child)


@contextlib.contextmanager
def working(command: list[str], log: Path, env: Mapping[str, str]) -> Iterator[Child]:
    """Starts a worker, which is ready when it has written a line."""
    with running(command, log, env, pipes=True) as child:
        child.read_line(_START_TIMEOUT_S)
        yield child


def ask(child: Child, question: LoadQuestion | StepQuestion) -> Measurement:
    """Returns a worker's answer, with the CPU time that it measured itself and its memory."""
    asked = json.dumps(asdict(question)).encode()
    answer = json.loads(child.ask(asked, question.seconds + _ANSWER_TIMEOUT_S))
    cpu_ms, seen = answer["cpu_ms"], answer["latencies"]
    spreads = {name: Spread(**seen[name]) for name in ("first_token_ms", "inter_token_ms", "pause_ms")}
    latencies = Latencies(**seen | spreads)
    by_part = {PROCESS: cpu_ms / max(1, latencies.tokens)}
    memory = sum(usage.resident_mib(child.tree).values())
    return Measurement(latencies, by_part, 0.0, memory_mib={PROCESS: memory})


def _measure(child: Child, workload: Workload, sessions: int, seconds: float) -> Measurement:
    return ask(child, LoadQuestion(workload, sessions, seconds))
