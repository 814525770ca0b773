"""Time and memory of an export, phase by phase, from looks at its process. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

STARTING = "starting"
PHASES = {"reading": "reading", "tracing": "tracing", "writing": "writing", "verifying": "verifying"}
"""By how the exporter's line begins that announces it."""


@dataclass(frozen=True)
class Look:
    """At one moment."""

    s: float
    phase: str
    mib: float
    """Resident."""


@dataclass(frozen=True)
class Phase:
    name: str
    s: float
    peak_mib: float
    """Above what the process had when it had done nothing but import TensorFlow."""


def of_log(text: str) -> str:
    """The phase that the exporter's lines so far tell of."""
    begun = [PHASES[word] for line in text.splitlines() if (word := line.split(" ")[0]) in PHASES]
    return begun[-1] if begun else STARTING


def phases(looks: Sequence[Look]) -> tuple[Phase, ...]:
    """One after another."""
    base = max((look.mib for look in looks if look.phase == STARTING), default=0.0)
    found = []
    for name, group in groupby(looks, lambda look: look.phase):
        mine = list(group)
        after = [look.s for look in looks if look.s > mine[-1].s]
        end = after[0] if after else mine[-1].s
        found.append(Phase(name, end - mine[0].s, max(look.mib for look in mine) - base))
    return tuple(found)
