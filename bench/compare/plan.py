"""What a comparison measures, in which order and for how long. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.compare.points import Spot
from bench.engines.engine import Engine, Kind

REFERENCE_SESSIONS = 16
_STARTING_S = 60.0
_UNWARMED = (Kind.RAW, Kind.NAIVE)
"""Kinds whose figures do not begin with their first call, or hardly depend on it."""


@dataclass(frozen=True)
class Plan:
    rounds: int
    workloads: tuple[str, ...]
    sessions: tuple[int, ...]
    seconds: float
    """Per point."""
    warm_up_s: float

    def spots(self, engine: Engine) -> list[Spot]:
        """What is asked of `engine` in a round."""
        most = engine.most_sessions or max(self.sessions)
        counts = [count for count in self.sessions if count <= most] or [most]
        workloads = self.workloads if engine.phrase is None else self.workloads[:1]
        counts = counts if engine.phrase is None else counts[:1]
        return [Spot(engine.name, workload, count) for workload in workloads for count in counts]

    def warms_up(self, engine: Engine) -> bool:
        return engine.kind not in _UNWARMED

    def cost_s(self, engine: Engine) -> float:
        """About what `engine` takes in a round."""
        each = 1.2 * self.seconds + (self.warm_up_s if self.warms_up(engine) else 0)
        return _STARTING_S + len(self.spots(engine)) * each

    def order(self, engines: Sequence[Engine]) -> Iterator[tuple[int, list[Engine]]]:
        """Rounds; every second one goes backwards, so that a drift of the machine disturbs all alike."""
        for number in range(self.rounds):
            yield number, list(engines if number % 2 == 0 else reversed(engines))


FULL = Plan(rounds=3, workloads=("W1", "W2"), sessions=(1, 8, 16, 32), seconds=12.0, warm_up_s=3.0)
QUICK = Plan(rounds=1, workloads=("W1",), sessions=(1, 16), seconds=3.0, warm_up_s=1.0)
