"""Inter-token latency of sessions while a long prompt arrives again and again."""

import asyncio
import time
from dataclasses import dataclass, field

from bench.engines.contender import Setup, workload
from bench.engines.tensorloom import serving_variant
from bench.latency import Latencies
from bench.load import Address, Served
from bench.random_model.servables import BF16
from bench.spread import Spread, ratio
from bench.streaming import Recording, trace
from bench.tables import labelled, number, spread
from bench.workload import WORKLOADS, Lengths, Workload

_SESSIONS = 16
_LONG = Lengths(900, 8)
_EVERY_S = 2.0
_AT_MOST = 2.5


@dataclass
class Arrivals:
    """Long prompts at fixed times, however long their answers take."""

    address: Address
    asked: Workload
    recordings: list[Recording] = field(default_factory=list)

    async def run(self) -> None:
        """Sends requests until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                recording = Recording(time.perf_counter(), asyncio.Event(), dialect=self.address.dialect)
                self.recordings.append(recording)
                group.create_task(self.address.record(self.asked, self.asked.new_tokens, recording))
                await asyncio.sleep(_EVERY_S)

    @property
    def first_token_ms(self) -> Spread:
        """Of the requests that have their first token."""
        traces = [trace(recording) for recording in self.recordings]
        return Spread.of([1000 * (t.chunks[0].time - t.sent) for t in traces if t.chunks])


@dataclass(frozen=True)
class Interference:
    """The sessions' latencies without and with the long prompts."""

    sessions: int
    quiet: Latencies
    disturbed: Latencies
    arrivals: int
    long_first_token_ms: Spread

    @property
    def p99_over_p50(self) -> float | None:
        """Of the inter-token latency, with the long prompts."""
        return ratio(self.disturbed.inter_token_ms.p99, self.disturbed.inter_token_ms.p50)


def measure(setup: Setup, quick: bool) -> Interference:
    """Measures the sessions alone, then with the long prompts."""
    seconds = 6.0 if quick else 40.0
    with serving_variant(setup, BF16) as served:
        return _measure(served, seconds)


def _measure(served: Served, seconds: float) -> Interference:
    arrivals = Arrivals(served.address, workload(_LONG, BF16.name))
    asked = workload(WORKLOADS["W1"])
    served.measure(asked, _SESSIONS, min(seconds, 5.0))  # warms up
    quiet = served.measure(asked, _SESSIONS, seconds).latencies
    disturbed = served.measure(asked, _SESSIONS, seconds, arrivals.run).latencies
    return Interference(_SESSIONS, quiet, disturbed, len(arrivals.recordings), arrivals.first_token_ms)


def render(measured: Interference) -> str:
    """Returns a line for each of the two, and what is expected."""
    rows = [["", "tokens/s", "inter-token ms p50 / p99", "p99 / p50", "pause ms p50 / p99", "p99 / p50"]]
    for name, seen in (("alone", measured.quiet), ("with long prompts", measured.disturbed)):
        between, pause = seen.inter_token_ms, seen.pause_ms
        shares = [number(ratio(each.p99, each.p50)) for each in (between, pause)]
        rows.append([name, number(seen.tokens_per_s), spread(between), shares[0], spread(pause), shares[1]])
    return "\n".join(
        [
            f"{measured.sessions} sessions of W1, {_LONG.prompt} more prompt tokens every {_EVERY_S:g} s "
            f"({measured.arrivals} times; their first token {spread(measured.long_first_token_ms)} ms):",
            *labelled(rows),
            f"inter-token p99 / p50: {number(measured.p99_over_p50)} (expected: at most {_AT_MOST:g})",
            "",
        ]
    )
