"""Time from a request to its first byte in an idle system, and how much of it is the prefill itself.

Requests come one at a time; between them the raw prefill of as many tokens is timed in a process of its own.
"""

import asyncio
from dataclasses import dataclass

from bench.engines.contender import Setup, workload
from bench.engines.external import ask
from bench.engines.raw import stepping
from bench.engines.tensorloom import serving_variant, target_of
from bench.load import Address
from bench.random_model.servables import BF16
from bench.spread import Spread
from bench.tables import number, spread
from bench.workers.answers import StepQuestion
from bench.workload import Lengths, Workload

_LENGTHS = Lengths(8, 8)
_EACH = 10
"""Requests between two measurements of the raw prefill."""
_AT_MOST_MS = 15.0


@dataclass(frozen=True)
class FirstByte:
    """Milliseconds."""

    prompt_tokens: int
    requests: int
    first_byte_ms: Spread
    prefill_ms: Spread
    beyond_ms: float
    """The medians' difference."""


def measure(setup: Setup, quick: bool) -> FirstByte:
    """Measures requests and raw prefills in turns."""
    question = StepQuestion(1, _LENGTHS.prompt, 0, prompt=_LENGTHS.prompt)
    firsts: list[float] = []
    prefills: list[float] = []
    with stepping(setup, target_of(BF16)(setup)) as raw, serving_variant(setup, BF16) as served:
        asked = workload(_LENGTHS, BF16.name)
        first_bytes(served.address, asked, _EACH)  # warms up
        for _ in range(2 if quick else 10):
            firsts += first_bytes(served.address, asked, _EACH)
            prefills += [ask(raw, question).latencies.first_token_ms.p50 or 0.0]
    return summarize(firsts, prefills)


def summarize(firsts: list[float], prefills: list[float]) -> FirstByte:
    """Reduces the times of all requests and prefills."""
    first, prefill = Spread.of(firsts), Spread.of(prefills)
    assert first.p50 is not None
    assert prefill.p50 is not None
    return FirstByte(_LENGTHS.prompt, len(firsts), first, prefill, first.p50 - prefill.p50)


def first_bytes(address: Address, asked: Workload, requests: int) -> list[float]:
    """Returns the milliseconds to the first byte of requests that are sent one after the other."""
    return asyncio.run(_first_bytes(address, asked, requests))


async def _first_bytes(address: Address, asked: Workload, requests: int) -> list[float]:
    recordings = [await address.complete(asked, asked.new_tokens, asyncio.Event()) for _ in range(requests)]
    return [1000 * (recording.pieces[0][0] - recording.sent) for recording in recordings]


def render(measured: FirstByte) -> str:
    """Returns the times and what is expected of them."""
    return (
        f"First byte, idle, {measured.prompt_tokens} prompt tokens, {measured.requests} requests: "
        f"{spread(measured.first_byte_ms)} ms (p50 / p99)\n"
        f"raw prefill {spread(measured.prefill_ms)} ms; beyond it {number(measured.beyond_ms)} ms "
        f"(expected: at most {_AT_MOST_MS:g})\n"
    )
