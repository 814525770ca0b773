"""The harness: every contender has its turn in every round, so that noise disturbs all alike.

A contender that cannot be prepared, started or measured is recorded as a problem, and the others go on.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from bench.engines.contender import Contender, ContenderKind, Setup
from bench.errors import FAILURES, TIME_USED_UP, TimeUsedUp
from bench.points import Point, Problem, Spot
from bench.workload import MOST_AT_ONCE, Workload, settling_s

_STARTING_S = 60.0
_UNWARMED = (ContenderKind.RAW, ContenderKind.NAIVE)
"""Kinds that warm themselves up."""
_QUEUEING_S = 20.0
"""Until those of more sessions than are decoded at a time that begin first have their first token."""

Record: TypeAlias = Callable[[Point | Problem], None]


@dataclass(frozen=True)
class FurtherSpot:
    """A spot that only its own engine is measured with."""

    spot: Spot
    workload: Workload


@dataclass(frozen=True)
class RoundPlan:
    """What is measured, in which order and for how long."""

    rounds: int
    workloads: Mapping[str, Workload]
    sessions: tuple[int, ...]
    seconds: float
    """Per point."""
    warm_up_s: float
    restarts: bool = True
    """Contenders are started for every turn, so that one is alive at a time; else they run all the time."""
    sessions_of: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By engine: the numbers of sessions of those that differ from `sessions`."""
    further: tuple[FurtherSpot, ...] = ()

    def spots(self, contender: Contender) -> list[Spot]:
        """Returns what `contender` is measured with in a round."""
        own = self.sessions_of.get(contender.name, self.sessions)
        most = contender.most_sessions or max(own)
        counts = [count for count in own if count <= most] or [most]
        workloads = list(self.workloads)
        if contender.phrase is not None:
            counts, workloads = counts[:1], workloads[:1]
        further = [each.spot for each in self.further if each.spot.engine == contender.name]
        return [Spot(contender.name, workload, count) for workload in workloads for count in counts] + further

    def asked(self, spot: Spot) -> Workload:
        """Returns the workload that `spot` is measured with."""
        return {each.spot: each.workload for each in self.further}.get(spot) or self.workloads[spot.workload]

    def warms_up(self, contender: Contender, number: int, sessions: int = 1) -> bool:
        """Returns whether a point of round `number` is warmed up."""
        if not self.warm_up_s or contender.kind in _UNWARMED or sessions > MOST_AT_ONCE:
            return False
        return self.restarts or number == 0

    def point_s(self, contender: Contender, number: int, sessions: int = 1) -> float:
        """Estimates the seconds of one point in round `number`, its overhead included."""
        share = 0.25 if contender.kind == ContenderKind.RAW else 1.0
        warm_up_s = self.warm_up_s if self.warms_up(contender, number, sessions) else 0
        queueing_s = _QUEUEING_S if sessions > MOST_AT_ONCE else 0
        settled_s = settling_s(self.seconds) + 1.3 * self.seconds
        return 1 + share * settled_s + warm_up_s + queueing_s

    @property
    def starting_s(self) -> float:
        """Estimates the seconds before the first point of a turn."""
        return _STARTING_S if self.restarts else 0.0

    def order(self, contenders: Sequence[Contender]) -> Iterator[tuple[int, list[Contender]]]:
        """Yields the rounds; every second one is reversed, so that a drift of the machine is shared."""
        for number in range(self.rounds):
            yield number, list(contenders if number % 2 == 0 else reversed(contenders))


class Budget:
    """The time that is left for measuring."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - self._clock()

    def check(self, seconds: float) -> None:
        """Raises TimeUsedUp unless so many seconds are left."""
        if self.left < seconds:
            raise TimeUsedUp(TIME_USED_UP)


def prepared(contenders: Sequence[Contender], setup: Setup, record: Record) -> list[Contender]:
    """Installs and converts what is missing, and returns the contenders for which that succeeded."""
    ready = []
    for contender in contenders:
        try:
            contender.prepare(setup)
        except FAILURES as error:
            _report(record, None, contender, error)
        else:
            ready.append(contender)
    return ready


def run(
    plan: RoundPlan, contenders: Sequence[Contender], setup: Setup, budget: Budget, record: Record
) -> None:
    """Measures all rounds, fewer where `budget` does not allow more, and records every point at once."""
    for number, ordered in plan.order(contenders):
        for contender in ordered:
            try:
                _take_turn(plan, number, contender, setup, budget, record)
            except FAILURES as error:
                _report(record, number, contender, error)


def _take_turn(
    plan: RoundPlan, number: int, contender: Contender, setup: Setup, budget: Budget, record: Record
) -> None:
    budget.check(plan.starting_s + plan.point_s(contender, number))
    print(f"round {number + 1}: {contender.title}", file=sys.stderr)
    with contender.started(setup) as measure:
        for spot in plan.spots(contender):
            budget.check(plan.point_s(contender, number, spot.sessions))
            asked = replace(plan.asked(spot), phrase=contender.phrase)
            if plan.warms_up(contender, number, spot.sessions):
                measure(asked, spot.sessions, min(plan.warm_up_s, plan.seconds))
            record(Point(number, spot, measure(asked, spot.sessions, plan.seconds)))


def _report(record: Record, number: int | None, contender: Contender, error: Exception) -> None:
    problem = Problem(number, contender.name, str(error) or type(error).__name__)
    print(f"{problem.engine}: {problem.reason}", file=sys.stderr)
    record(problem)
