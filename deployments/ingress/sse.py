"""Server-Sent Events: a generation as a stream of chunks. The generation ends with the connection."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from deployments.ingress.error_handlers import as_client_error, error_body
from deployments.ingress.formats import AnswerFormat, Usage
from deployments.ingress.responses import encode_json
from deployments.ingress.service import StartedGeneration
from deployments.messages import TextChunk

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class UsageOptions:
    """When a stream reports its usage."""

    at_end: bool = False
    """In a chunk of its own, after all others."""
    always: bool = False
    """In every chunk."""


class EventStream(StreamingResponse):
    """The streamed response. It closes the generation however the response ends."""

    media_type = "text/event-stream"

    def __init__(
        self, generation: StartedGeneration, answer_format: AnswerFormat, options: UsageOptions
    ) -> None:
        super().__init__(_events(generation, answer_format, options), headers={"cache-control": "no-cache"})
        self._generation = generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the chunks of the generation, and ends it when the client has left."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._generation.aclose()


async def _events(
    generation: StartedGeneration, answer_format: AnswerFormat, options: UsageOptions
) -> AsyncGenerator[bytes, None]:
    """Yields the events that one chunk of the generation gives, at once.

    The first piece has the opening too, the last one the usage and the end. If the generation fails, the last
    event is OpenAI's error object.
    """
    writer = _EventWriter(generation, answer_format, options)
    before = writer.opening()
    try:
        async for chunk in generation.chunks():
            yield before + writer.events(chunk)
            before = b""
    except Exception as error:
        yield before + _event(encode_json(error_body(as_client_error(error))))


class _EventWriter:
    """Encodes the chunks of one generation as events, and counts the tokens that they bring."""

    def __init__(
        self, generation: StartedGeneration, answer_format: AnswerFormat, options: UsageOptions
    ) -> None:
        self._format = answer_format
        self._options = options
        self._usage = Usage(generation.prompt_tokens, 0, generation.cached_tokens)

    def opening(self) -> bytes:
        """Returns the events that come before the first text."""
        return b"".join(map(_event, self._format.opening(self._shown)))

    def events(self, chunk: TextChunk) -> bytes:
        """Returns the events of `chunk`; those of the last chunk end the stream."""
        if chunk.tokens:
            self._usage = replace(self._usage, completion=self._usage.completion + chunk.tokens)
        if chunk.finish is None:
            return _event(self._format.delta(chunk.text, self._shown, chunk.logprobs))
        last = self._format.finish(chunk.text, chunk.finish, self._shown, chunk.logprobs)
        if self._options.at_end:
            last = (*last, self._format.usage(self._usage))
        return b"".join(map(_event, last)) + DONE

    @property
    def _shown(self) -> Usage | None:
        """The usage so far, if every chunk has it."""
        return self._usage if self._options.always else None


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
