"""Time of a step against the size of the pool that it works in, in process."""

from dataclasses import dataclass

from bench.engines.contender import Setup
from bench.engines.external import ask
from bench.engines.raw import stepping
from bench.engines.tensorloom import target_of
from bench.random_model.servables import BF16
from bench.spread import Spread, median
from bench.tables import aligned, number
from bench.workers.answers import StepQuestion

_BATCH = 16
_PAST = 192
_SLOTS = (16, 32, 64, 96)


@dataclass(frozen=True)
class PoolSize:
    """A pool of so many slots: medians over the rounds; milliseconds."""

    slots: int
    step_ms: Spread
    times_smallest: float | None
    """The median of the ratios to the smallest pool in the same round."""


@dataclass(frozen=True)
class PoolSizes:
    """One row for each size of the pool."""

    batch: int
    past: int
    rows: tuple[PoolSize, ...]


def measure(setup: Setup, quick: bool) -> PoolSizes:
    """Measures steps with every size of the pool in every round."""
    seconds, rounds = (1.0, 1) if quick else (3.0, 5)
    with stepping(setup, target_of(BF16)(setup)) as raw:
        steps = [
            {
                slots: ask(raw, StepQuestion(_BATCH, _PAST, seconds, slots=slots)).latencies.inter_token_ms
                for slots in _SLOTS
            }
            for _ in range(rounds)
        ]
    return summarize(steps)


def summarize(steps: list[dict[int, Spread]]) -> PoolSizes:
    """Reduces each round's steps by slots."""
    rows = [
        PoolSize(
            slots,
            Spread.median_of(each[slots] for each in steps),
            median((each[slots].p50 or 0) / (each[_SLOTS[0]].p50 or 1) for each in steps),
        )
        for slots in _SLOTS
    ]
    return PoolSizes(_BATCH, _PAST, tuple(rows))


def render(measured: PoolSizes) -> str:
    """Returns a line for each size."""
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
