"""How much work one call may do so that streams get new tokens at least every `interval_s` seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

_WEIGHT = 0.3
"""Weight of the newest call in the running mean."""

_MAX_RATIO = 2
"""A call counts as at most this many times the expected time."""


class Pace:
    """A running estimate of the time per unit of work: a decode step, or a prompt token."""

    def __init__(self, interval_s: float, initial_units: int = 1) -> None:
        """Before the first measurement, `initial_units` units are assumed to fill the interval."""
        self._interval_s = interval_s
        self._unit_s = interval_s / initial_units

    def units(self, limit: int) -> int:
        """Returns how many units fill the interval: at least 1, at most `limit`."""
        return max(1, min(limit, int(self._interval_s / self._unit_s)))

    @property
    def unit_s(self) -> float:
        """Estimated seconds per unit."""
        return self._unit_s

    @contextmanager
    def timed(self, units: int) -> Iterator[None]:
        """Measures the call in the `with` block, which does `units` units of work.

        Two kinds of calls do not count: calls that raise, and short calls with little work, whose time is
        mostly the fixed cost of a call.
        """
        start = time.perf_counter()
        yield
        taken = time.perf_counter() - start
        if taken >= self._interval_s or 2 * units * self._unit_s >= self._interval_s:
            # A single very slow call, such as the first of a server, must not dominate the mean.
            self._unit_s += _WEIGHT * (min(taken / units, _MAX_RATIO * self._unit_s) - self._unit_s)
