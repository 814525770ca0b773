"""What the harness measures: points, and their reduction to medians and to ratios within a round. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from bench.latency import Measurement
from bench.spread import Spread, median, ratio
from bench.usage import MODEL_SERVER


@dataclass(frozen=True)
class Spot:
    """One cell of a comparison."""

    engine: str
    workload: str
    sessions: int


@dataclass(frozen=True)
class Point:
    """One cell as one round measured it."""

    round: int
    spot: Spot
    figures: Measurement


@dataclass(frozen=True)
class Problem:
    """Why a contender has no figures, or fewer."""

    round: int | None
    """None: it could not be prepared."""
    engine: str
    reason: str


Value = Callable[[Point], float | None]


def throughput(point: Point) -> float | None:
    """Returns the point's tokens per second."""
    return point.figures.latencies.tokens_per_s


def orchestration_ms(point: Point) -> float | None:
    """Returns the CPU milliseconds per token of all processes but the model servers."""
    by_part = point.figures.cpu_ms_per_token
    return sum(spent for part, spent in by_part.items() if part != MODEL_SERVER) if by_part else None


def whole_answers(new_tokens: int) -> Value:
    """Returns a raw step's tokens per second with its prefill, as if answers came in batches back to back."""

    def value(point: Point) -> float | None:
        seen = point.figures.latencies
        prefill, step = seen.first_token_ms.p50, seen.inter_token_ms.p50
        if prefill is None or step is None:
            return None
        return 1000 * point.spot.sessions * new_tokens / (prefill + (new_tokens - 1) * step)

    return value


class Points:
    """All points of a comparison, by round and spot."""

    def __init__(self, points: Iterable[Point]) -> None:
        self._by_round: dict[int, dict[Spot, Point]] = {}
        for point in points:
            self._by_round.setdefault(point.round, {})[point.spot] = point

    @property
    def rounds(self) -> int:
        """The number of rounds that have a point."""
        return len(self._by_round)

    def of(self, spot: Spot) -> list[Point]:
        """Returns one point for each round that has `spot`."""
        return [cells[spot] for cells in self._by_round.values() if spot in cells]

    def median(self, spot: Spot, value: Value = throughput) -> float | None:
        """Returns the median over the rounds."""
        return median(value(point) for point in self.of(spot))

    def times(self, own: Spot, bases: Sequence[Spot], base_value: Value = throughput) -> float | None:
        """Returns the median over the rounds of `own`'s throughput divided by that round's best base."""
        return median(self._ratios(own, bases, base_value))

    def _ratios(self, own: Spot, bases: Sequence[Spot], base_value: Value) -> Iterator[float | None]:
        for cells in self._by_round.values():
            known = [value for spot in bases if spot in cells and (value := base_value(cells[spot]))]
            if own in cells and known:
                yield ratio(throughput(cells[own]), max(known))


@dataclass(frozen=True)
class PointSummary:
    """One spot: medians over the rounds; milliseconds."""

    engine: str
    workload: str
    sessions: int
    rounds: int
    tokens_per_s: float | None
    first_token_ms: Spread
    inter_token_ms: Spread
    pause_ms: Spread
    tokens_per_chunk: float | None
    orchestration_cpu_ms: float | None
    cpu_ms_per_token: dict[str, float]
    client_cpu_ms_per_token: float | None


def summaries(measured: Sequence[Point]) -> list[PointSummary]:
    """Returns one row for each spot, in the order in which they were measured first."""
    points = Points(measured)
    return [summary(points, spot) for spot in dict.fromkeys(point.spot for point in measured)]


def summary(points: Points, spot: Spot) -> PointSummary:
    """Reduces one spot's points; where there are none, all figures are None."""
    cells = points.of(spot)
    seen = [point.figures.latencies for point in cells]
    return PointSummary(
        engine=spot.engine,
        workload=spot.workload,
        sessions=spot.sessions,
        rounds=len(cells),
        tokens_per_s=points.median(spot),
        first_token_ms=Spread.median_of(s.first_token_ms for s in seen),
        inter_token_ms=Spread.median_of(s.inter_token_ms for s in seen),
        pause_ms=Spread.median_of(s.pause_ms for s in seen),
        tokens_per_chunk=median(s.tokens_per_chunk for s in seen),
        orchestration_cpu_ms=points.median(spot, orchestration_ms),
        cpu_ms_per_token=_by_part(cells),
        client_cpu_ms_per_token=median(point.figures.client_cpu_ms_per_token for point in cells),
    )


def _by_part(points: Iterable[Point]) -> dict[str, float]:
    spent = [point.figures.cpu_ms_per_token for point in points]
    parts = dict.fromkeys(part for each in spent for part in each)
    return {part: median(each.get(part) for each in spent) or 0.0 for part in parts}
