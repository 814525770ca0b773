"""Percentiles, medians and ratios."""

import pytest

from bench.spread import Spread, median, percentile, ratio


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([1.0], 50, 1.0), ([2.0, 1.0], 50, 1.0), ([3.0, 1.0, 2.0], 50, 2.0), (list(range(1, 101)), 99, 99)],
)
def test_a_percentile_is_a_measured_value(values, percent, expected):
    assert percentile(values, percent) == expected


def test_the_highest_percentile_of_few_values_is_their_maximum():
    assert percentile([1.0, 9.0, 5.0], 99) == 9.0


def test_nothing_measured_has_no_percentile_median_or_ratio():
    assert Spread.of([]) == Spread(None, None)
    assert median([]) is None
    assert ratio(None, 2.0) is None
    assert ratio(2.0, None) is None


def test_a_ratio_to_zero_is_unknown():
    assert ratio(2.0, 0.0) is None


def test_a_median_passes_over_what_was_not_measured():
    assert median([3.0, None, 1.0]) == 2.0


def test_spreads_are_reduced_percentile_by_percentile():
    spreads = [Spread(1.0, 10.0), Spread(3.0, 20.0), Spread(2.0, 90.0)]
    assert Spread.median_of(spreads) == Spread(2.0, 20.0)
