"""Medians, percentiles and ratios that can do without values: what was not measured is None. Pure."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Spread:
    """A distribution, as far as it is reported."""

    p50: float | None
    p99: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        return cls(percentile(values, 50), percentile(values, 99))

    @classmethod
    def median_of(cls, spreads: Iterable["Spread"]) -> Self:
        spreads = list(spreads)
        return cls(median(s.p50 for s in spreads), median(s.p99 for s in spreads))


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that at least `percent` of the values do not exceed: always a measured one."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def median(values: Iterable[float | None]) -> float | None:
    """Of the values that there are."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base
