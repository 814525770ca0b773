"""Memory of each session: as the decoder accounts for it, and as its processes' memory grows."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from bench import usage
from bench.engines.contender import Setup, workload
from bench.engines.tensorloom import serving_variant
from bench.load import Address, Served
from bench.random_model.servables import BF16, EXPLICIT_BF16, F32, Variant
from bench.spread import median
from bench.tables import labelled, number
from bench.workload import WORKLOADS

_VARIANTS = (BF16, F32, EXPLICIT_BF16)
_SESSIONS = (1, 16)
_POLL_S = 0.5
_MIB = 2**20


@dataclass(frozen=True)
class SessionMemory:
    """MiB, of one model."""

    model: str
    accounted_mib: float | None
    """Of each session, as /health reports at the larger number of sessions."""
    processes_mib: Mapping[int, float]
    """Of all processes, after so many sessions at a time."""

    @property
    def grown_mib(self) -> float:
        """By each further session."""
        few, many = _SESSIONS
        return (self.processes_mib[many] - self.processes_mib[few]) / (many - few)


@dataclass(frozen=True)
class SessionMemories:
    """One row for each model."""

    rows: tuple[SessionMemory, ...]


@dataclass
class HealthPoll:
    """Reads what the decoder says it holds, while sessions run."""

    address: Address
    model: str
    per_session: list[float] = field(default_factory=list)
    """Bytes."""

    async def run(self) -> None:
        """Polls until cancelled."""
        while True:
            held = (await asyncio.to_thread(self.address.fetch, "/health"))["models"][self.model]
            if held["running"]:
                self.per_session.append(held["state_bytes"] / held["running"])
            await asyncio.sleep(_POLL_S)


def measure(setup: Setup, quick: bool) -> SessionMemories:
    """Measures one model after the other."""
    rows = []
    for variant in _VARIANTS[:1] if quick else _VARIANTS:
        with serving_variant(setup, variant) as served:
            rows.append(_measure(served, variant, 4.0 if quick else 15.0))
    return SessionMemories(tuple(rows))


def _measure(served: Served, variant: Variant, seconds: float) -> SessionMemory:
    asked, taken = workload(WORKLOADS["W1"]), {}
    poll = HealthPoll(served.address, variant.name)
    for sessions in _SESSIONS:
        poll.per_session.clear()
        served.measure(asked, sessions, seconds, poll.run)
        taken[sessions] = sum(usage.own_mib(served.child.tree).values())
    held = median(poll.per_session)
    return SessionMemory(variant.name, held / _MIB if held else None, taken)


def render(measured: SessionMemories) -> str:
    """Returns a line for each model."""
    rows = [["MiB of each session", "accounted", "grown", *(f"all at {count}" for count in _SESSIONS)]]
    for row in measured.rows:
        totals = [number(row.processes_mib[count]) for count in _SESSIONS]
        rows.append([row.model, number(row.accounted_mib), number(row.grown_mib), *totals])
    return "\n".join([*labelled(rows), ""])
