"""Measurements with chosen figures."""

from collections.abc import Mapping

from bench.latency import Latencies, Measurement
from bench.spread import Spread

SPREAD = Spread(1.0, 2.0)


def measurement(
    tokens_per_s: float,
    cpu: Mapping[str, float] | None = None,
    latency: Spread = SPREAD,
    rest: Mapping[str, float] | None = None,
    memory: Mapping[str, float] | None = None,
) -> Measurement:
    seen = Latencies(int(10 * tokens_per_s), tokens_per_s, 1.0, latency, latency, latency)
    return Measurement(seen, cpu or {}, 0.1, rest or {}, memory or {})
