"""The order of measurements: each round has every way of running the model, so that noise disturbs all alike.

Stops when the time is used up. Knows no processes, only what measures.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from bench.latency import Latencies
from bench.naive import NaiveFigures
from bench.raw.client import RawFigures


@dataclass(frozen=True)
class HttpFigures:
    """One point of the application under load."""

    latencies: Latencies
    cpu_ms_per_token: Mapping[str, float]
    """By part of the application."""
    client_cpu_ms_per_token: float


@dataclass(frozen=True)
class Round:
    """What one round measured, by sessions or batch; incomplete where time ran out."""

    http: Mapping[int, HttpFigures]
    naive: NaiveFigures | None
    raw: Mapping[int, RawFigures]


@dataclass(frozen=True)
class Measures:
    """The three ways; each takes the seconds to measure for."""

    http: Callable[[int, float], HttpFigures]
    naive: Callable[[float], NaiveFigures]
    raw: Callable[[int, float], RawFigures]


@dataclass(frozen=True)
class Plan:
    rounds: int
    sessions: tuple[int, ...]
    seconds: float
    """Per point over HTTP and of the naive loop."""

    @property
    def raw_seconds(self) -> float:
        """Steps vary less than sessions do."""
        return self.seconds / 4


class Budget:
    """The time that is left for measuring."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @property
    def left(self) -> float:
        return self._end - self._clock()

    def allows(self, seconds: float) -> bool:
        return self.left >= seconds


def run(plan: Plan, measures: Measures, budget: Budget) -> Iterator[Round]:
    """The rounds, as they are completed; fewer, or with gaps, where `budget` does not allow more."""
    for _ in range(plan.rounds):
        if not budget.allows(_cost(plan.seconds)):
            return
        yield _round(plan, measures, budget)


def _round(plan: Plan, measures: Measures, budget: Budget) -> Round:
    http = {}
    for sessions in plan.sessions:
        if budget.allows(_cost(plan.seconds)):
            http[sessions] = measures.http(sessions, plan.seconds)
    naive = measures.naive(plan.seconds) if budget.allows(_cost(plan.seconds)) else None
    raw = {}
    for batch in plan.sessions:
        if budget.allows(_cost(plan.raw_seconds)):
            raw[batch] = measures.raw(batch, plan.raw_seconds)
    return Round(http, naive, raw)


def _cost(seconds: float) -> float:
    """A point takes its seconds, and some to begin."""
    return 1.3 * seconds + 1
