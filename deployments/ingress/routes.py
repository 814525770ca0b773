"""The HTTP application and its routes.

Each route turns a validated body into a call of the service, and the result into a response.
"""

from collections.abc import Sequence
from contextlib import aclosing

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.ingress import error_handlers
from deployments.ingress.formats import AnswerFormat, ChatFormat, CompletionFormat, Usage
from deployments.ingress.logprobs import AnswerLogprobs
from deployments.ingress.responses import JsonResponse, health_object, model_list, model_object
from deployments.ingress.schemas import ChatBody, CompletionBody, GenerationBody
from deployments.ingress.service import Service, StartedGeneration
from deployments.ingress.sse import EventStream, UsageOptions
from deployments.messages import TextChunk

MAX_BODY_BYTES = 3 * 1024 * 1024
"""Less than one message between deployments may have."""


def create_app(service: Service) -> FastAPI:
    """Builds the HTTP application."""
    # All bodies are JSON here, so a client need not send a content type.
    app = FastAPI(title="Tensorloom", strict_content_type=False)
    app.add_middleware(BodyLimit, max_bytes=MAX_BODY_BYTES)
    error_handlers.install(app)
    for router in (_generation_routes(service), _model_routes(service), _health_route(service)):
        app.include_router(router)
    return app


def _generation_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["generation"])

    @router.post("/completions")
    async def completions(body: CompletionBody) -> Response:
        generation = await service.generate(CompletionFormat.id_prefix, body.to_prompt(), body.to_options())
        return await _respond(generation, CompletionFormat(generation, body.shows_usage), body)

    @router.post("/chat/completions")
    async def chat_completions(body: ChatBody) -> Response:
        generation = await service.generate(ChatFormat.id_prefix, body.to_prompt(), body.to_options())
        return await _respond(generation, ChatFormat(generation, body.shows_usage), body)

    return router


def _model_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["models"])

    @router.get("/models")
    async def models() -> Response:
        return JsonResponse(model_list([model_object(card) for card in await service.cards()]))

    @router.get("/models/{model:path}")
    async def model(model: str) -> Response:
        return JsonResponse(model_object(await service.card(model)))

    return router


def _health_route(service: Service) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def health() -> Response:
        statuses = await service.statuses()
        ready = all(status is not None and status.servers for status in statuses.values())
        return JsonResponse(health_object(ready, statuses), status_code=200 if ready else 503)

    return router


async def _respond(
    generation: StartedGeneration, answer_format: AnswerFormat, body: GenerationBody
) -> Response:
    """Builds the response, streamed or whole as the body asks. Takes over the generation and closes it."""
    if body.stream:
        options = body.stream_options
        usage_options = UsageOptions(options.include_usage, options.continuous_usage_stats)
        return EventStream(generation, answer_format, usage_options)
    return await _whole_answer(generation, answer_format)


async def _whole_answer(generation: StartedGeneration, answer_format: AnswerFormat) -> Response:
    async with aclosing(generation):
        chunks = [chunk async for chunk in generation.chunks()]
    finish = chunks[-1].finish
    assert finish, "the last chunk of a generation has a finish reason"
    text = "".join(chunk.text for chunk in chunks)
    completion = sum(chunk.tokens for chunk in chunks)
    usage = Usage(generation.prompt_tokens, completion, generation.cached_tokens)
    return JsonResponse(answer_format.body(text, finish, usage, _joined_logprobs(chunks)))


def _joined_logprobs(chunks: Sequence[TextChunk]) -> AnswerLogprobs:
    if chunks[-1].logprobs is None:
        return None
    return tuple(logprobs for chunk in chunks for logprobs in chunk.logprobs or ())


class BodyLimit:
    """A middleware that raises HTTPException 413 once a request's body exceeds `max_bytes`.

    The error handlers of the application answer it.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the application on a body that is cut off at the limit."""
        await self._app(scope, _limited(receive, self._max_bytes), send)


def _limited(receive: Receive, max_bytes: int) -> Receive:
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > max_bytes:
            raise HTTPException(413, f"The request's body has more than {max_bytes} bytes, the limit.")
        return message

    return limited
