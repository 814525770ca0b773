"""A server under load, seen from its clients and from its processes' CPU time."""

from dataclasses import dataclass, replace

from bench import cpu
from bench.load import Address, Beside, LoadGenerator
from bench.processes import Child
from bench.rounds import HttpFigures
from bench.workload import Workload

_START_TIMEOUT_S = 300.0
"""Until every session has its first text, queueing included."""


@dataclass(frozen=True)
class Served:
    """A server that answers, and its processes."""

    address: Address
    child: Child
    model: str | None = None
    """What it calls the model, if that is not what workloads call it."""

    def measure(
        self, workload: Workload, sessions: int, seconds: float, beside: Beside | None = None
    ) -> HttpFigures:
        workload = replace(workload, model=self.model or workload.model)
        generator = LoadGenerator(self.address, workload, lambda: cpu.read(self.child.tree))
        measured = generator.measure(sessions, seconds, _START_TIMEOUT_S, beside)
        tokens = max(1, measured.latencies.tokens)
        spent = cpu.spent(measured.before, measured.after)
        by_part = {part: 1000 * used / tokens for part, used in spent.items()}
        return HttpFigures(measured.latencies, by_part, 1000 * measured.client_cpu_s / tokens)
