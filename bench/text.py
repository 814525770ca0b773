"""Figures as text. Pure."""

from collections.abc import Sequence

from bench.spread import Spread


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, flush right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return [line.rstrip() for line in lines]


def labelled(rows: Sequence[Sequence[str]]) -> list[str]:
    """The same with a first column that is flush left."""
    width = max(len(row[0]) for row in rows)
    rest = aligned([row[1:] for row in rows])
    return [f"{row[0].ljust(width)}  {line}" for row, line in zip(rows, rest, strict=True)]


def spread(values: Spread) -> str:
    return f"{number(values.p50)} / {number(values.p99)}"


def number(value: float | None) -> str:
    """About three digits; `-` where nothing was measured."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
