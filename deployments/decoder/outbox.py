"""The tokens of one sequence on their way to its client: they gather until the client takes them together."""

import asyncio
import contextlib

from deployments.errors import TensorloomError
from deployments.messages import FinishReason, TokenChunk, TokenLogprobs


class Outbox:
    """Filled by the loop after each step, emptied by one reader; ends with one finish or one error."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._logprobs: list[TokenLogprobs] = []
        self._finish: FinishReason | None = None
        self._error: TensorloomError | None = None
        self._filled = asyncio.Event()
        self._over = asyncio.Event()

    def put(self, token: int, logprobs: TokenLogprobs | None = None) -> None:
        """Adds a token; within one sequence all tokens come with log-probabilities, or all without."""
        self._ids.append(token)
        if logprobs is not None:
            self._logprobs.append(logprobs)
        self._filled.set()

    def finish(self, reason: FinishReason) -> None:
        """Ends the stream normally."""
        assert not self._ended
        self._finish = reason
        self._end()

    def fail(self, error: TensorloomError) -> None:
        """Ends the stream with an error, which `take` raises after the last tokens."""
        assert not self._ended
        self._error = error
        self._end()

    async def take(self) -> TokenChunk:
        """Waits for news, and returns all tokens since the last call.

        Raises the error that ended the sequence once all tokens before it have been returned.
        """
        await self._filled.wait()
        self._filled.clear()
        if self._error is not None:
            if not self._ids:
                raise self._error
            self._filled.set()
        chunk = TokenChunk(tuple(self._ids), self._finish, tuple(self._logprobs) or None)
        self._ids.clear()
        self._logprobs.clear()
        return chunk

    async def gather(self, seconds: float) -> None:
        """Waits while tokens gather: for `seconds`, or until the sequence has ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    def _end(self) -> None:
        self._over.set()
        self._filled.set()

    @property
    def _ended(self) -> bool:
        return self._finish is not None or self._error is not None
