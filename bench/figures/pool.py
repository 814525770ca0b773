"""Time of a step against the size of the pool that it works in, in process."""

from dataclasses import dataclass

from bench.engines.engine import Setup
from bench.engines.raw import running_raw
from bench.raw import client
from bench.raw.question import Question
from bench.small.servables import BF16
from bench.spread import Spread, median
from bench.text import aligned, number

_BATCH = 16
_PAST = 192
_SLOTS = (16, 32, 64, 96)
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Row:
    """Medians over the rounds; milliseconds."""

    slots: int
    step_ms: Spread
    times_smallest: float | None
    """Of ratios within a round, the median."""


@dataclass(frozen=True)
class Pool:
    batch: int
    past: int
    rows: tuple[Row, ...]


def measure(setup: Setup, quick: bool) -> Pool:
    seconds, rounds = (1.0, 1) if quick else (3.0, 5)
    with running_raw(setup, BF16) as raw:
        steps = [
            {
                slots: client.measure(raw, Question(_BATCH, _PAST, seconds, slots=slots), _TIMEOUT_S).step_ms
                for slots in _SLOTS
            }
            for _ in range(rounds)
        ]
    return summarize(steps)


def summarize(steps: list[dict[int, Spread]]) -> Pool:
    """From each round's steps by slots."""
    rows = [
        Row(
            slots,
            Spread.median_of(each[slots] for each in steps),
            median((each[slots].p50 or 0) / (each[_SLOTS[0]].p50 or 1) for each in steps),
        )
        for slots in _SLOTS
    ]
    return Pool(_BATCH, _PAST, tuple(rows))


def render(measured: Pool) -> str:
    cells = [
        (str(row.slots), number(row.step_ms.p50), number(row.step_ms.p99), number(row.times_smallest))
        for row in measured.rows
    ]
    return "\n".join(
        [
            f"Step of {measured.batch} rows with {measured.past} tokens each, ms:",
            *aligned([("slots", "p50", "p99", "times the smallest"), *cells]),
            "",
        ]
    )
