"""Helpers for tests of the loop: sequences, and the tokens that a client receives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deployments.decoder.loop import DecodeLoop
from deployments.decoder.sequence import TokenSequence
from deployments.messages import FinishReason, SamplingParams


def greedy(
    name: str, prompt: list[int], max_tokens: int = 20, eos: frozenset[int] = frozenset()
) -> TokenSequence:
    return TokenSequence(name, tuple(prompt), max_tokens, SamplingParams(temperature=0), eos)


async def collect(loop: DecodeLoop, sequence: TokenSequence) -> tuple[list[int], FinishReason]:
    """Returns all tokens and the finish reason."""
    outbox = loop.submit(sequence)
    tokens: list[int] = []
    while True:
        chunk = await outbox.take()
        tokens.extend(chunk.ids)
        if chunk.finish is not None:
            return tokens, chunk.finish


async def tokens_of(loop: DecodeLoop, sequence: TokenSequence) -> list[int]:
    return (await collect(loop, sequence))[0]


@asynccontextmanager
async def running(loop: DecodeLoop) -> AsyncIterator[DecodeLoop]:
    """Runs the loop; at the end all state must be free again."""
    task = asyncio.create_task(loop.run())
    yield loop
    assert not task.done(), "the loop ended by itself"
    task.cancel()
    assert loop.scheduler.state_bytes == 0
    assert loop.engine.held == 0
