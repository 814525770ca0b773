"""Rounds with chosen figures."""

from collections.abc import Mapping

from bench.latency import Latencies
from bench.naive import NaiveFigures
from bench.raw.client import RawFigures
from bench.rounds import HttpFigures
from bench.spread import Spread

SPREAD = Spread(1.0, 2.0)


def http(tokens_per_s: float, cpu: Mapping[str, float] | None = None) -> HttpFigures:
    seen = Latencies(int(10 * tokens_per_s), tokens_per_s, 1.0, SPREAD, SPREAD, SPREAD)
    return HttpFigures(seen, cpu or {}, 0.1)


def naive(tokens_per_s: float) -> NaiveFigures:
    return NaiveFigures(tokens_per_s, SPREAD, SPREAD)


def raw(tokens_per_s: float) -> RawFigures:
    return RawFigures(tokens_per_s, SPREAD, 10)
