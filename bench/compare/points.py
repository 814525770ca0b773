"""What a comparison measures: one point for each round, engine, workload and number of sessions. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.cpu import MODEL_SERVER
from bench.rounds import HttpFigures
from bench.spread import median, ratio


@dataclass(frozen=True)
class Spot:
    """One cell of the comparison."""

    engine: str
    workload: str
    sessions: int


@dataclass(frozen=True)
class Point:
    """One cell as one round measured it."""

    round: int
    spot: Spot
    figures: HttpFigures


@dataclass(frozen=True)
class Problem:
    """Why an engine has no figures, or fewer."""

    round: int | None
    """None: it could not be prepared."""
    engine: str
    reason: str


Value = Callable[[Point], float | None]


def throughput(point: Point) -> float | None:
    return point.figures.latencies.tokens_per_s


def orchestration_ms(point: Point) -> float | None:
    """CPU milliseconds per token of everything but the model server."""
    by_part = point.figures.cpu_ms_per_token
    return sum(spent for part, spent in by_part.items() if part != MODEL_SERVER) if by_part else None


def whole_answers(new_tokens: int) -> Value:
    """Tokens per second of a raw step, prefill included: as if answers followed one another in batches."""

    def value(point: Point) -> float | None:
        seen = point.figures.latencies
        prefill, step = seen.first_token_ms.p50, seen.inter_token_ms.p50
        if prefill is None or step is None:
            return None
        return 1000 * point.spot.sessions * new_tokens / (prefill + (new_tokens - 1) * step)

    return value


class Points:
    """All that was measured."""

    def __init__(self, points: Iterable[Point]) -> None:
        self._by_round: dict[int, dict[Spot, Point]] = {}
        for point in points:
            self._by_round.setdefault(point.round, {})[point.spot] = point

    def of(self, spot: Spot) -> list[Point]:
        """One for each round that has it."""
        return [cells[spot] for cells in self._by_round.values() if spot in cells]

    def median(self, spot: Spot, value: Value = throughput) -> float | None:
        return median(value(point) for point in self.of(spot))

    def times(self, own: Spot, bases: Sequence[Spot], base_value: Value = throughput) -> float | None:
        """Throughput as a multiple of the best base's in the same round; of these ratios, the median."""
        return median(self._ratios(own, bases, base_value))

    def _ratios(self, own: Spot, bases: Sequence[Spot], base_value: Value) -> Iterator[float | None]:
        for cells in self._by_round.values():
            known = [value for spot in bases if spot in cells and (value := base_value(cells[spot]))]
            if own in cells and known:
                yield ratio(throughput(cells[own]), max(known))
