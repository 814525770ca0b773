"""What each session takes: as the decoder accounts for it, and as its processes' memory grows."""

import asyncio
import json
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench import memory
from bench.engines.engine import Setup, workload
from bench.engines.tensorloom import serving
from bench.load import Address
from bench.over_http import Served
from bench.small.servables import BF16, EXPLICIT_BF16, F32, Variant
from bench.spread import median
from bench.text import labelled, number
from bench.workload import WORKLOADS

_VARIANTS = (BF16, F32, EXPLICIT_BF16)
_SESSIONS = (1, 16)
_LOOK_S = 0.5
_MIB = 2**20


@dataclass(frozen=True)
class State:
    """MiB."""

    model: str
    accounted_mib: float | None
    """Of each session, as /health tells at the larger number of sessions."""
    processes_mib: Mapping[int, float]
    """Of all processes, after so many sessions at a time."""

    @property
    def grown_mib(self) -> float:
        """By each further session."""
        few, many = _SESSIONS
        return (self.processes_mib[many] - self.processes_mib[few]) / (many - few)


@dataclass(frozen=True)
class States:
    rows: tuple[State, ...]


@dataclass
class Looks:
    """At what the decoder says it holds, while sessions run."""

    address: Address
    model: str
    per_session: list[float] = field(default_factory=list)

    async def look(self) -> None:
        """Until cancelled."""
        while True:
            held = (await asyncio.to_thread(self._health))["models"][self.model]
            if held["running"]:
                self.per_session.append(held["state_bytes"] / held["running"])
            await asyncio.sleep(_LOOK_S)

    def _health(self) -> Any:
        url = f"http://{self.address.host}:{self.address.port}/health"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)


def measure(setup: Setup, quick: bool) -> States:
    rows = []
    for variant in _VARIANTS[:1] if quick else _VARIANTS:
        with serving(setup, variant) as served:
            rows.append(_measure(served, variant, 4.0 if quick else 15.0))
    return States(tuple(rows))


def _measure(served: Served, variant: Variant, seconds: float) -> State:
    asked, taken = workload(WORKLOADS["W1"]), {}
    looks = Looks(served.address, variant.name)
    for sessions in _SESSIONS:
        looks.per_session.clear()
        served.measure(asked, sessions, seconds, looks.look)
        taken[sessions] = sum(memory.read(served.child.tree).values())
    held = median(looks.per_session)
    return State(variant.name, held / _MIB if held else None, taken)


def render(measured: States) -> str:
    rows = [["MiB of each session", "accounted", "grown", *(f"all at {count}" for count in _SESSIONS)]]
    for row in measured.rows:
        totals = [number(row.processes_mib[count]) for count in _SESSIONS]
        rows.append([row.model, number(row.accounted_mib), number(row.grown_mib), *totals])
    return "\n".join([*labelled(rows), ""])
