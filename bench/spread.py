"""Percentiles, medians and ratios; a figure that was not measured is None. Pure."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Spread:
    """The two percentiles of a distribution that are reported."""

    p50: float | None
    p99: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Returns the percentiles of `values`."""
        return cls(percentile(values, 50), percentile(values, 99))

    @classmethod
    def median_of(cls, spreads: Iterable["Spread"]) -> Self:
        """Returns the median of each percentile."""
        spreads = list(spreads)
        return cls(median(s.p50 for s in spreads), median(s.p99 for s in spreads))


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Returns the smallest value that at least `percent` of the values do not exceed, so a measured one."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def median(values: Iterable[float | None]) -> float | None:
    """Returns the median of the values that are not None."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def ratio(value: float | None, base: float | None) -> float | None:
    """Returns `value` / `base`, or None where one is unknown or the base is 0."""
    return None if value is None or not base else value / base
