"""Memory of the application's processes after more and more requests."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench import usage
from bench.engines.contender import Setup, workload
from bench.engines.tensorloom import serving_variant
from bench.load import complete_all
from bench.random_model.servables import BF16
from bench.tables import labelled, number
from bench.workload import Lengths

_LENGTHS = Lengths(64, 32)
_SESSIONS = 16
_EACH = 100
_TIMES = 10


@dataclass(frozen=True)
class MemorySample:
    """MiB by part, after so many requests."""

    requests: int
    mib: Mapping[str, float]

    @property
    def total(self) -> float:
        """MiB of all parts."""
        return sum(self.mib.values())


@dataclass(frozen=True)
class MemoryGrowth:
    """Samples after more and more requests."""

    looks: tuple[MemorySample, ...]

    @property
    def growth_mib(self) -> float:
        """From the first sample to the last."""
        return self.looks[-1].total - self.looks[0].total

    @property
    def late_growth_mib(self) -> float:
        """In the second half, when everything is warm."""
        return self.looks[-1].total - self.looks[len(self.looks) // 2].total


def measure(setup: Setup, quick: bool) -> MemoryGrowth:
    """Sends requests, and samples the memory after every hundred."""
    looks = []
    with serving_variant(setup, BF16) as served:
        asked = workload(_LENGTHS, BF16.name)
        for number_ in range(1, (2 if quick else _TIMES) + 1):
            complete_all(served.address, asked, _EACH, _SESSIONS)
            looks.append(MemorySample(number_ * _EACH, usage.own_mib(served.child.tree)))
    return MemoryGrowth(tuple(looks))


def render(measured: MemoryGrowth) -> str:
    """Returns a line for each sample, with the largest parts, and the growth."""
    first, last = measured.looks[0], measured.looks[-1]
    largest = sorted(last.mib, key=lambda part: -last.mib[part])[:8]
    rows = [["after", *largest, "all"]]
    for look in measured.looks:
        parts = (number(look.mib.get(part)) for part in largest)
        rows.append([f"{look.requests} requests", *parts, f"{look.total:.1f}"])
    return "\n".join(
        [
            f"Memory, MiB of their own, {_SESSIONS} sessions, {_LENGTHS.prompt} prompt tokens, "
            f"{_LENGTHS.new} new:",
            *labelled(rows),
            f"from {first.requests} to {last.requests} requests {measured.growth_mib:+.1f} MiB, "
            f"of that in the second half {measured.late_growth_mib:+.1f} (expected: none beyond noise)",
            "",
        ]
    )
