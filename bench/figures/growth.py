"""Throughput and latency as sessions grow, to more than are decoded at a time: the rest is queued."""

from dataclasses import dataclass

from bench.engines.engine import Setup, workload
from bench.engines.tensorloom import serving
from bench.latency import Latencies
from bench.small.servables import BF16
from bench.spread import Spread
from bench.text import aligned, number, spread
from bench.workload import WORKLOADS

_SESSIONS = (1, 4, 16, 64, 256)
_MOST_WARM = 64
"""Sessions to warm up with: more would only queue."""


@dataclass(frozen=True)
class Row:
    """At one number of sessions; milliseconds."""

    sessions: int
    tokens_per_s: float
    first_token_ms: Spread
    inter_token_ms: Spread
    pause_ms: Spread

    @classmethod
    def of(cls, sessions: int, seen: Latencies) -> "Row":
        return cls(sessions, seen.tokens_per_s, seen.first_token_ms, seen.inter_token_ms, seen.pause_ms)


@dataclass(frozen=True)
class Growth:
    model: str
    rows: tuple[Row, ...]


def measure(setup: Setup, quick: bool) -> Growth:
    seconds = 4.0 if quick else 25.0
    asked, rows = workload(WORKLOADS["W1"]), []
    with serving(setup, BF16) as served:
        for count in _SESSIONS[:3] if quick else _SESSIONS:
            served.measure(asked, min(count, _MOST_WARM), seconds / 5)  # the first ones find nothing warm
            rows.append(Row.of(count, served.measure(asked, count, seconds).latencies))
    return Growth(BF16.name, tuple(rows))


def render(measured: Growth) -> str:
    head = [
        ("", "", "first token ms", "inter-token ms", "pause ms"),
        ("sessions", "tokens/s", *3 * ["p50 / p99"]),
    ]
    cells = [
        (
            str(row.sessions),
            number(row.tokens_per_s),
            spread(row.first_token_ms),
            spread(row.inter_token_ms),
            spread(row.pause_ms),
        )
        for row in measured.rows
    ]
    return "\n".join(["Growth, W1:", *aligned([*head, *cells]), ""])
