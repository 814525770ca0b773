"""What the harness measures: points, and their reduction to medians and to ratios within a round. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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


def at_rest_ms(point: Point) -> float | None:
    """Returns what those processes spend without requests, per token: their time in a second / tokens/s."""
    figures = point.figures
    spent = [ms for part, ms in figures.rest_cpu_ms_per_s.items() if part != MODEL_SERVER]
    return ratio(sum(spent), figures.latencies.tokens_per_s) if spent else None


def without_rest_ms(point: Point) -> float | None:
    """Returns `orchestration_ms` less `at_rest_ms`."""
    spent, rest = orchestration_ms(point), at_rest_ms(point)
    return None if spent is None or rest is None else spent - rest


def cpu_ms(point: Point) -> float | None:
    """Returns the CPU milliseconds per token of all processes of the engine."""
    by_part = point.figures.cpu_ms_per_token
    return sum(by_part.values()) if by_part else None


def memory_gib(point: Point) -> float | None:
    """Returns the GiB that all processes of the engine held after the point."""
    by_part = point.figures.memory_mib
    return sum(by_part.values()) / 1024 if by_part else None


def tokens_per_s_per_gib(point: Point) -> float | None:
    """Returns the throughput per GiB of memory."""
    return ratio(throughput(point), memory_gib(point))


def first_token_p50(point: Point) -> float | None:
    """Returns milliseconds."""
    return point.figures.latencies.first_token_ms.p50


def inter_token_p99(point: Point) -> float | None:
    """Returns milliseconds."""
    return point.figures.latencies.inter_token_ms.p99


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

    def times(
        self,
        own: Spot,
        bases: Sequence[Spot],
        value: Value = throughput,
        base_value: Value | None = None,
    ) -> float | None:
        """Returns the median over the rounds of `own`'s value divided by the highest of that round's bases.

        `base_value` is the bases' value, where it is another than `own`'s.
        """
        pairs = self._pairs(own, bases, value, base_value or value)
        return median(ratio(mine, max(others)) for mine, others in pairs)

    def beyond(self, own: Spot, base: Spot, value: Value) -> float | None:
        """Returns the median over the rounds of `own`'s value less the base's."""
        pairs = self._pairs(own, [base], value, value)
        return median(mine - others[0] for mine, others in pairs)

    def _pairs(
        self, own: Spot, bases: Sequence[Spot], value: Value, base_value: Value
    ) -> Iterator[tuple[float, list[float]]]:
        """Yields both sides of every round that has them."""
        for cells in self._by_round.values():
            mine = value(cells[own]) if own in cells else None
            known = [each for spot in bases if spot in cells and (each := base_value(cells[spot]))]
            if mine is not None and known:
                yield mine, known


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
    cpu_ms: float | None
    """Per token, of all processes."""
    orchestration_cpu_ms: float | None
    at_rest_cpu_ms: float | None
    without_rest_cpu_ms: float | None
    cpu_ms_per_token: dict[str, float]
    rest_cpu_ms_per_s: dict[str, float]
    client_cpu_ms_per_token: float | None
    memory_gib: float | None
    tokens_per_s_per_gib: float | None

    @property
    def spot(self) -> Spot:
        """The spot that is summarized."""
        return Spot(self.engine, self.workload, self.sessions)


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
        cpu_ms=points.median(spot, cpu_ms),
        orchestration_cpu_ms=points.median(spot, orchestration_ms),
        at_rest_cpu_ms=points.median(spot, at_rest_ms),
        without_rest_cpu_ms=points.median(spot, without_rest_ms),
        cpu_ms_per_token=_by_part([point.figures.cpu_ms_per_token for point in cells]),
        rest_cpu_ms_per_s=_by_part([point.figures.rest_cpu_ms_per_s for point in cells]),
        client_cpu_ms_per_token=median(point.figures.client_cpu_ms_per_token for point in cells),
        memory_gib=points.median(spot, memory_gib),
        tokens_per_s_per_gib=points.median(spot, tokens_per_s_per_gib),
    )


def _by_part(spent: Sequence[Mapping[str, float]]) -> dict[str, float]:
    parts = dict.fromkeys(part for each in spent for part in each)
    return {part: median(each.get(part) for each in spent) or 0.0 for part in parts}
