"""How much one call may do, so that streams move at least every `interval_s` seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

_WEIGHT = 0.3
"""Of the newest call in the running mean."""

_LONGEST = 2
"""How many times what is expected a call counts at most."""


class Pace:
    """Learns how long a unit of work takes: a decode step, or a prompt token."""

    def __init__(self, interval_s: float, first: int = 1) -> None:
        self._interval_s = interval_s
        self._unit_s = interval_s / first
        """Until something was measured, `first` units are taken to fill the interval."""

    def units(self, most: int) -> int:
        """How many fill the interval; at least one, at most `most`."""
        return max(1, min(most, int(self._interval_s / self._unit_s)))

    @property
    def unit_s(self) -> float:
        """Seconds of a unit."""
        return self._unit_s

    @contextmanager
    def timed(self, units: int) -> Iterator[None]:
        """Measure the call in the `with` block, which does `units` units; one that fails does not count.

        Nor does one that does little in little time: what each call costs by itself is most of it.
        """
        start = time.perf_counter()
        yield
        taken = time.perf_counter() - start
        if taken >= self._interval_s or 2 * units * self._unit_s >= self._interval_s:
            # One call that took very long, such as a server's first, says little of the next.
            self._unit_s += _WEIGHT * (min(taken / units, _LONGEST * self._unit_s) - self._unit_s)
