"""Points reduced to one row for each engine, workload and number of sessions. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.compare.points import Point, Points, Spot, orchestration_ms
from bench.spread import Spread, median


@dataclass(frozen=True)
class Row:
    """Medians over the rounds; milliseconds."""

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


def rows(measured: Sequence[Point]) -> list[Row]:
    points = Points(measured)
    return [_row(points, spot) for spot in dict.fromkeys(point.spot for point in measured)]


def _row(points: Points, spot: Spot) -> Row:
    cells = points.of(spot)
    seen = [point.figures.latencies for point in cells]
    return Row(
        spot.engine,
        spot.workload,
        spot.sessions,
        len(cells),
        points.median(spot),
        Spread.median_of(s.first_token_ms for s in seen),
        Spread.median_of(s.inter_token_ms for s in seen),
        Spread.median_of(s.pause_ms for s in seen),
        median(s.tokens_per_chunk for s in seen),
        points.median(spot, orchestration_ms),
        _by_part(cells),
    )


def _by_part(points: Iterable[Point]) -> dict[str, float]:
    spent = [point.figures.cpu_ms_per_token for point in points]
    parts = dict.fromkeys(part for each in spent for part in each)
    return {part: median(each.get(part) for each in spent) or 0.0 for part in parts}
