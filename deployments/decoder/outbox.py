"""The tokens of one sequence on their way to its client: they gather until the loop sends them together."""

import asyncio

from deployments.errors import TensorloomError
from deployments.messages import FinishReason, TokenChunk, TokenLogprobs


class Outbox:
    """Filled by the loop after each step, emptied by one reader; ends with one finish or one error."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._logprobs: list[TokenLogprobs] = []
        self._finish: FinishReason | None = None
        self._error: TensorloomError | None = None
        self._begun = False
        """Whether the first token was put."""
        self._sent = asyncio.Event()

    def put(self, token: int, logprobs: TokenLogprobs | None = None) -> None:
        """Adds a token; within one sequence all tokens come with log-probabilities, or all without.

        The first token is sent at once, later ones by `send` or with the end.
        """
        self._ids.append(token)
        if logprobs is not None:
            self._logprobs.append(logprobs)
        if not self._begun:
            self._begun = True
            self.send()

    def send(self) -> None:
        """Lets the reader take the tokens that gathered."""
        if self._ids:
            self._sent.set()

    def finish(self, reason: FinishReason) -> None:
        """Ends the stream normally."""
        assert not self._ended
        self._finish = reason
        self._sent.set()

    def fail(self, error: TensorloomError) -> None:
        """Ends the stream with an error, which `take` raises after the last tokens."""
        assert not self._ended
        self._error = error
        self._sent.set()

    async def take(self) -> TokenChunk:
        """Waits until something is sent, and returns all tokens since the last call.

        Raises the error that ended the sequence once all tokens before it have been returned.
        """
        await self._sent.wait()
        self._sent.clear()
        if self._error is not None:
            if not self._ids:
                raise self._error
            self._sent.set()
        chunk = TokenChunk(tuple(self._ids), self._finish, tuple(self._logprobs) or None)
        self._ids.clear()
        self._logprobs.clear()
        return chunk

    @property
    def _ended(self) -> bool:
        return self._finish is not None or self._error is not None
