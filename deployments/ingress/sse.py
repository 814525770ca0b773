"""Server-Sent Events: a generation as a stream of chunks. The generation ends with the connection."""

from collections.abc import AsyncGenerator, AsyncIterator
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
    """Yields the events. If the generation fails, the last one is OpenAI's error object."""
    try:
        async for chunk in _chunks(generation, answer_format, options):
            yield _event(chunk)
        yield DONE
    except Exception as error:
        yield _event(encode_json(error_body(as_client_error(error))))


async def _chunks(
    generation: StartedGeneration, answer_format: AnswerFormat, options: UsageOptions
) -> AsyncIterator[bytes]:
    usage = Usage(generation.prompt_tokens, 0, generation.cached_tokens)
    for opening in answer_format.opening(usage if options.always else None):
        yield opening
    async for chunk in generation.chunks():
        usage = replace(usage, completion=usage.completion + chunk.tokens)
        for encoded in _encode(chunk, answer_format, usage if options.always else None):
            yield encoded
    if options.at_end:
        yield answer_format.usage(usage)


def _encode(chunk: TextChunk, answer_format: AnswerFormat, usage: Usage | None) -> tuple[bytes, ...]:
    if chunk.finish:
        return answer_format.finish(chunk.text, chunk.finish, usage, chunk.logprobs)
    return (answer_format.delta(chunk.text, usage, chunk.logprobs),)


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
