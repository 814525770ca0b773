"""Throughput and latency as sessions grow, to more than are decoded at a time: the others are queued."""

from dataclasses import dataclass

from bench.engines.contender import Setup, workload
from bench.engines.tensorloom import serving_variant
from bench.points import Point, PointSummary, Spot, summaries
from bench.random_model.servables import BF16
from bench.tables import session_table
from bench.workload import MOST_AT_ONCE, WORKLOADS

_SESSIONS = (1, 4, 16, 64, 256)


@dataclass(frozen=True)
class Growth:
    """One row for each number of sessions."""

    model: str
    rows: tuple[PointSummary, ...]


def measure(setup: Setup, quick: bool) -> Growth:
    """Measures one application with more and more sessions."""
    seconds = 4.0 if quick else 25.0
    asked, points = workload(WORKLOADS["W1"]), []
    with serving_variant(setup, BF16) as served:
        for count in _SESSIONS[:3] if quick else _SESSIONS:
            served.measure(asked, min(count, MOST_AT_ONCE), seconds / 5)  # warms up
            points.append(Point(0, Spot(BF16.name, "W1", count), served.measure(asked, count, seconds)))
    return Growth(BF16.name, tuple(summaries(points)))


def render(measured: Growth) -> str:
    """Returns a line for each number of sessions."""
    return "\n".join(["Growth, W1:", *session_table(measured.rows), ""])
