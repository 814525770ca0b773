"""Memory of the application's processes after more and more requests."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench import memory
from bench.engines.engine import Setup, workload
from bench.engines.tensorloom import serving
from bench.load import complete_all
from bench.small.servables import BF16
from bench.text import labelled, number
from bench.workload import Lengths

_LENGTHS = Lengths(64, 32)
_SESSIONS = 16
_EACH = 100
_TIMES = 10


@dataclass(frozen=True)
class Look:
    """MiB by part, after so many requests."""

    requests: int
    mib: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.mib.values())


@dataclass(frozen=True)
class Memory:
    looks: tuple[Look, ...]

    @property
    def growth_mib(self) -> float:
        """From the first look to the last."""
        return self.looks[-1].total - self.looks[0].total

    @property
    def late_growth_mib(self) -> float:
        """The same in the second half: what warms up has done so by then."""
        return self.looks[-1].total - self.looks[len(self.looks) // 2].total


def measure(setup: Setup, quick: bool) -> Memory:
    looks = []
    with serving(setup, BF16) as served:
        asked = workload(_LENGTHS, BF16.name)
        for number_ in range(1, (2 if quick else _TIMES) + 1):
            complete_all(served.address, asked, _EACH, _SESSIONS)
            looks.append(Look(number_ * _EACH, memory.read(served.child.tree)))
    return Memory(tuple(looks))


def render(measured: Memory) -> str:
    first, last = measured.looks[0], measured.looks[-1]
    largest = sorted(last.mib, key=lambda part: -last.mib[part])[:8]
    head = ["after", *largest, "all"]
    rows = [
        [
            f"{look.requests} requests",
            *(number(look.mib.get(part)) for part in largest),
            f"{look.total:.1f}",
        ]
        for look in measured.looks
    ]
    return "\n".join(
        [
            f"Memory, MiB of their own, {_SESSIONS} sessions, {_LENGTHS.prompt} prompt tokens, "
            f"{_LENGTHS.new} new:",
            *labelled([head, *rows]),
            f"from {first.requests} to {last.requests} requests {measured.growth_mib:+.1f} MiB, "
            f"of that in the second half {measured.late_growth_mib:+.1f} (expected: none beyond noise)",
            "",
        ]
    )
