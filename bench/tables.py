"""Figures as columns of plain text. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.points import PointSummary
from bench.spread import Spread

_HEADERS = (
    ("", "", "first token ms", "inter-token ms", "pause ms"),
    ("sessions", "tokens/s", "p50 / p99", "p50 / p99", "p50 / p99"),
)


def session_table(
    rows: Iterable[PointSummary],
    headers: Sequence[Sequence[str]] = ((), ()),
    cells: Callable[[PointSummary], Sequence[str]] = lambda _: (),
) -> list[str]:
    """Returns throughput and latencies, a line for each row; `headers` and `cells` add further columns."""
    lines = [(*own, *added) for own, added in zip(_HEADERS, headers, strict=True)]
    for row in rows:
        latencies = map(spread, (row.first_token_ms, row.inter_token_ms, row.pause_ms))
        lines.append((str(row.sessions), number(row.tokens_per_s), *latencies, *cells(row)))
    return aligned(lines)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns lines whose columns are as wide as their widest cell, flush right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]


def labelled(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns aligned lines whose first column is flush left."""
    width = max(len(row[0]) for row in rows)
    rest = aligned([row[1:] for row in rows])
    return [f"{row[0].ljust(width)}  {line}" for row, line in zip(rows, rest, strict=True)]


def largest(by_part: Mapping[str, float], count: int) -> str:
    """Returns the `count` largest parts with their figures, on one line."""
    parts = sorted(by_part.items(), key=lambda item: -item[1])[:count]
    return ", ".join(f"{part} {number(value)}" for part, value in parts)


def spread(values: Spread) -> str:
    """Returns `p50 / p99`."""
    return f"{number(values.p50)} / {number(values.p99)}"


def number(value: float | None) -> str:
    """Returns a figure with about three digits, or `-` where nothing was measured."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
