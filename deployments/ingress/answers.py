"""A generation as the client asked for it: one body, or a stream of events.

Does not know which API asked; the format does.
"""

from contextlib import aclosing

from starlette.responses import Response

from deployments.ingress.json_body import Json
from deployments.ingress.responses import Format, Usage
from deployments.ingress.schemas import GenerationBody
from deployments.ingress.service import Generation
from deployments.ingress.sse import EventStream, UsageWishes
from deployments.messages import TextChunk, TextLogprobs


async def answer(generation: Generation, shape: Format, body: GenerationBody) -> Response:
    """Owns the generation from here on."""
    if body.stream:
        options = body.stream_options
        wishes = UsageWishes(options.include_usage, options.continuous_usage_stats)
        return EventStream(generation, shape, wishes)
    return await _whole(generation, shape)


async def _whole(generation: Generation, shape: Format) -> Response:
    async with aclosing(generation):
        chunks = [chunk async for chunk in generation.chunks()]
    finish = chunks[-1].finish
    assert finish, "a generation ends with its finish"
    text = "".join(chunk.text for chunk in chunks)
    completion = sum(chunk.tokens for chunk in chunks)
    usage = Usage(generation.prompt_tokens, completion, generation.cached_tokens)
    return Json(shape.body(text, finish, usage, _told(chunks)))


def _told(chunks: list[TextChunk]) -> tuple[TextLogprobs, ...] | None:
    if chunks[-1].logprobs is None:
        return None
    return tuple(told for chunk in chunks for told in chunk.logprobs or ())
