"""The pace of calls: how long they take, how much work one does, and how often prompts and chunks come.

A call takes a fixed time and a time per unit of work (a decode step, or a prompt token). Both are learned
from the calls. Pure: times are passed in.
"""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from deployments.decoder.sampling.arrays import Float64

_CALLS = 24
"""How many of the last calls the costs are learned from."""
_MIN_SPREAD = 0.1
"""Two calls tell fixed and unit cost apart if their units differ by this part of the larger."""
_MIN_PAIRS = 8
"""So many pairs of such calls are needed."""
_MIN_UNIT_SHARE = 0.01
"""The least part of a call's mean time per unit that is ascribed to the unit itself."""

MIN_PIECE = 64
"""Tokens of a prompt piece, at least: smaller ones pay the fixed cost of a call for little work."""
MAX_CROWD = 4.0
"""How many times longer a piece may last, at most, if many sequences prefill for each that decodes: until
they decode too, every step has too few rows."""
MAX_SHARE = 0.8
"""The prompts' largest share of the time while sequences decode."""
MIN_SHARE = 0.25
"""The prompts' smallest share: pieces grow with the decode calls beside them."""

_CHUNK_S_PER_ROW = 0.006
_MIN_CHUNK_S = 0.02
"""Chunks of a stream that follow each other faster cannot be told apart by a reader."""


def chunk_interval_s(limit_s: float, rows: int) -> float:
    """Returns how often a stream sends a chunk while `rows` sequences run: more rarely the more there are.

    A chunk costs every process on its way about the same, however many tokens it has.
    """
    return min(limit_s, max(_MIN_CHUNK_S, _CHUNK_S_PER_ROW * rows))


class CallCost:
    """The learned time of a call: fixed seconds, and seconds per unit of work.

    Both are medians over the last calls (a Theil-Sen line), so that a few outliers, such as the first calls
    of a server, do not count.
    """

    def __init__(self, unit_s: float) -> None:
        """Before the first call, all its time is assumed to be `unit_s` seconds per unit."""
        self.fixed_s = 0.0
        self.unit_s = unit_s
        self._calls: deque[tuple[int, float]] = deque(maxlen=_CALLS)
        """Units and seconds of the last calls."""

    def expected_s(self, units: int) -> float:
        """Returns the seconds that a call with `units` units is expected to take."""
        return self.fixed_s + self.unit_s * units

    def units_within(self, seconds: float) -> int:
        """Returns how many units a call of `seconds` seconds has; 0 if its fixed cost alone takes longer."""
        return max(0, int((seconds - self.fixed_s) / self.unit_s))

    def record(self, units: int, seconds: float) -> None:
        """Learns from a call with `units` units that took `seconds` seconds."""
        self._calls.append((units, seconds))
        units_of, seconds_of = np.array(self._calls).T
        slope = _median_slope(units_of, seconds_of)
        if slope is None:
            # Calls of one size do not tell the costs apart: both change by the same factor.
            scale = float(np.median(seconds_of / (self.fixed_s + self.unit_s * units_of)))
            self.fixed_s, self.unit_s = self.fixed_s * scale, self.unit_s * scale
            return
        # Neither cost is negative, and a unit is never free.
        mean_s = float(np.median(seconds_of / units_of))
        self.unit_s = min(max(slope, _MIN_UNIT_SHARE * mean_s), mean_s)
        self.fixed_s = max(0.0, float(np.median(seconds_of - self.unit_s * units_of)))


def _median_slope(x: Float64, y: Float64) -> float | None:
    """Returns the median slope between any two points; None if few pairs differ in `x` by a tenth or more."""
    first, second = np.triu_indices(len(x), 1)
    run, rise = x[second] - x[first], y[second] - y[first]
    apart = np.abs(run) >= _MIN_SPREAD * np.maximum(x[first], x[second])
    if np.count_nonzero(apart) < _MIN_PAIRS:
        return None
    return float(np.median(rise[apart] / run[apart]))


@dataclass
class PrefillPace:
    """Decides when the next prompt piece comes beside decoding sequences, and how many tokens it has.

    A piece shares its call with a decode step of the others. The step and each waiting prompt get the same
    time, as long as the call ends within `interval_s`. It may last longer where the piece's fixed cost, or
    the step, takes long, and where more than one sequence prefills for every two that decode. How often
    pieces come keeps the prompts' share of the time within its bounds.
    """

    interval_s: float
    cost: CallCost
    """Of pieces, without the decode step in the same call."""
    decode_s: float = 0.0
    """Seconds of decode steps since the last piece, and beside it."""
    step_s: float = 0.0
    """Seconds of a decode step."""
    last_piece_s: float = 0.0
    """Seconds of the last piece."""

    def tokens(self, prefilling: int, decoding: int) -> int:
        """Returns the tokens of the next piece while so many sequences are in each state; 0: too early."""
        if self.decode_s < self.last_piece_s * (1 - MAX_SHARE) / MAX_SHARE:
            return 0
        beside_decode_s = self.step_s * MIN_SHARE / (1 - MIN_SHARE)
        crowd = min(MAX_CROWD, max(1.0, 2 * (prefilling - 1) / max(1, decoding)))
        within_s = min(crowd * self.interval_s - self.step_s, prefilling * self.step_s)
        seconds = max(within_s, 2 * self.cost.fixed_s, beside_decode_s)
        return max(MIN_PIECE, self.cost.units_within(seconds))

    def record_piece(self, tokens: int, seconds: float, decoding: bool) -> None:
        """Records a call with a piece of `tokens` tokens, and a decode step if `decoding`.

        The step's part of the call is taken to be what a step took alone.
        """
        step_s = min(self.step_s, MAX_SHARE * seconds) if decoding else 0.0
        self.cost.record(tokens, seconds - step_s)
        self.last_piece_s, self.decode_s = seconds - step_s, step_s

    def record_decode(self, seconds: float, steps: int) -> None:
        """Records a call of `steps` decode steps."""
        self.decode_s += seconds
        self.step_s = seconds / steps


class ChunkPace:
    """Decides after which calls the streams send what gathered: after those that the next would end too late.

    All streams send at the same moments, so that processes on their way wake up once for all of them.
    """

    def __init__(self, limit_s: float) -> None:
        """`limit_s`: the most seconds that tokens gather."""
        self._limit_s = limit_s
        self._sent_s = self._ended_s = -math.inf

    def due(self, now_s: float, rows: int) -> bool:
        """Returns whether to send after a call that ended at `now_s`, while `rows` sequences run.

        The next call is assumed to take as long as this one.
        """
        next_end_s = 2 * now_s - self._ended_s
        self._ended_s = now_s
        if next_end_s - self._sent_s <= chunk_interval_s(self._limit_s, rows):
            return False
        self._sent_s = now_s
        return True
