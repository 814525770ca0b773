"""Server-Sent Events: a generation as a stream of chunks, closed with the connection.

Does not know what chunks look like; the format makes them.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, replace

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from deployments.ingress import json_body
from deployments.ingress.error_handlers import error_body, known
from deployments.ingress.responses import Format, Usage
from deployments.ingress.service import Generation
from deployments.messages import TextChunk

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class UsageWishes:
    """When a stream tells its usage."""

    at_end: bool = False
    always: bool = False


class EventStream(StreamingResponse):
    """The response; however it ends, the generation ends with it."""

    media_type = "text/event-stream"

    def __init__(self, generation: Generation, shape: Format, wishes: UsageWishes) -> None:
        super().__init__(events(generation, shape, wishes), headers={"cache-control": "no-cache"})
        self._generation = generation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._generation.aclose()


async def events(generation: Generation, shape: Format, wishes: UsageWishes) -> AsyncGenerator[bytes, None]:
    """The events, framed; a failure is the last of them, in OpenAI's shape."""
    try:
        async for chunk in _chunks(generation, shape, wishes):
            yield _event(chunk)
        yield DONE
    except Exception as error:
        yield _event(json_body.encode(error_body(known(error))))


async def _chunks(generation: Generation, shape: Format, wishes: UsageWishes) -> AsyncIterator[bytes]:
    usage = Usage(generation.prompt_tokens, 0, generation.cached_tokens)
    for opening in shape.opening(usage if wishes.always else None):
        yield opening
    async for chunk in generation.chunks():
        usage = replace(usage, completion=usage.completion + chunk.tokens)
        for shown in _shown(chunk, shape, usage if wishes.always else None):
            yield shown
    if wishes.at_end:
        yield shape.usage(usage)


def _shown(chunk: TextChunk, shape: Format, usage: Usage | None) -> tuple[bytes, ...]:
    if chunk.finish:
        return shape.finish(chunk.text, chunk.finish, usage, chunk.logprobs)
    return (shape.delta(chunk.text, usage, chunk.logprobs),)


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
