"""Latencies from the times at which a stream's chunks arrived. Pure.

A chunk brings one token or several. For a request sent at s whose chunks arrive at t1, t2, ... with n1, n2,
... tokens each:

- time to first token: t1 - s, connecting included;
- inter-token latency: each of the n_k tokens of chunk k >= 2 counts with (t_k - t_{k-1}) / n_k; the tokens
  of the first chunk do not count;
- pause: t_k - t_{k-1}, once per chunk k >= 2, which is what a reader sees;
- tokens per second: the tokens of all chunks that arrive in a window, divided by its length.

Only what arrives in the window counts, whenever its request was sent: to ask that requests be sent in the
window too would leave out those that wait longest.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench.spread import Spread

_MS = 1000


@dataclass(frozen=True)
class Chunk:
    """Tokens that arrived together; `time` in seconds."""

    time: float
    tokens: int


@dataclass(frozen=True)
class Trace:
    """One request: when it was sent, and the chunks received so far."""

    sent: float
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True)
class Window:
    """The interval, in seconds, in which events count."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """The window's length."""
        return self.end - self.start

    def __contains__(self, time: float) -> bool:
        return self.start <= time < self.end


@dataclass(frozen=True)
class Latencies:
    """What clients saw in one window; milliseconds."""

    tokens: int
    tokens_per_s: float
    tokens_per_chunk: float
    first_token_ms: Spread
    inter_token_ms: Spread
    pause_ms: Spread


@dataclass(frozen=True)
class Measurement:
    """One contender's figures for one workload and number of sessions."""

    latencies: Latencies
    cpu_ms_per_token: Mapping[str, float]
    """By part of the engine."""
    client_cpu_ms_per_token: float
    rest_cpu_ms_per_s: Mapping[str, float] = field(default_factory=dict)
    """CPU milliseconds of each part in a second without requests; empty where that was not measured."""
    memory_mib: Mapping[str, float] = field(default_factory=dict)
    """Of each part; a page that processes share counts once (PSS). Empty where that was not measured."""


def latencies(traces: Sequence[Trace], window: Window) -> Latencies:
    """Reduces the traces of all requests to the figures of one window."""
    counts = [chunk.tokens for trace in traces for chunk in trace.chunks if chunk.time in window]
    tokens = sum(counts)
    return Latencies(
        tokens=tokens,
        tokens_per_s=tokens / window.seconds,
        tokens_per_chunk=tokens / len(counts) if counts else 0.0,
        first_token_ms=Spread.of([_MS * s for s in first_tokens(traces, window)]),
        inter_token_ms=Spread.of([_MS * s for s in inter_token(traces, window)]),
        pause_ms=Spread.of([_MS * s for s, _ in pauses(traces, window)]),
    )


def first_tokens(traces: Sequence[Trace], window: Window) -> list[float]:
    """Returns the seconds from each request to its first chunk."""
    begun = (trace for trace in traces if trace.chunks)
    return [trace.chunks[0].time - trace.sent for trace in begun if trace.chunks[0].time in window]


def inter_token(traces: Sequence[Trace], window: Window) -> list[float]:
    """Returns inter-token latencies in seconds, one entry per token."""
    return [pause / tokens for pause, tokens in pauses(traces, window) for _ in range(tokens)]


def pauses(traces: Sequence[Trace], window: Window) -> Iterator[tuple[float, int]]:
    """Yields the seconds before each chunk but a request's first, and the chunk's tokens."""
    for trace in traces:
        for before, chunk in pairwise(trace.chunks):
            if chunk.time in window:
                yield chunk.time - before.time, chunk.tokens
