"""Measurements with chosen figures."""

from collections.abc import Mapping

from bench.latency import Latencies, Measurement
from bench.spread import Spread

SPREAD = Spread(1.0, 2.0)


def measurement(tokens_per_s: float, cpu: Mapping[str, float] | None = None) -> Measurement:
    seen = Latencies(int(10 * tokens_per_s), tokens_per_s, 1.0, SPREAD, SPREAD, SPREAD)
    return Measurement(seen, cpu or {}, 0.1)
