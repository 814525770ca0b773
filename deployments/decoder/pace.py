"""How many steps one decode call may take, so that streams move at least every `interval_s` seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

_WEIGHT = 0.3
"""Of the newest call in the running mean."""


class Pace:
    """Learns how long a step takes."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._step_s = interval_s
        """Until something was measured, one step is taken to fill the interval."""

    def steps(self, most: int) -> int:
        return max(1, min(most, int(self._interval_s / self._step_s)))

    @contextmanager
    def timed(self, steps: int) -> Iterator[None]:
        """Measure the call in the `with` block, which takes `steps` steps; one that fails does not count."""
        start = time.perf_counter()
        yield
        step_s = (time.perf_counter() - start) / steps
        self._step_s += _WEIGHT * (step_s - self._step_s)
