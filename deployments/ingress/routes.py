"""The routes. Each turns a checked body into a call of the service, and its result into a response.

Does not know Ray.
"""

from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from deployments.ingress import error_handlers
from deployments.ingress.answers import answer
from deployments.ingress.body_limit import BodyLimit
from deployments.ingress.json_body import Json
from deployments.ingress.responses import (
    ChatFormat,
    CompletionFormat,
    health_object,
    model_list,
    model_object,
)
from deployments.ingress.schemas import ChatBody, CompletionBody
from deployments.ingress.service import Service

LARGEST_BODY = 3 * 1024 * 1024
"""Bytes; below what one message between deployments may have."""


def create_app(service: Service) -> FastAPI:
    """The HTTP application."""
    # Nothing but JSON is understood here, so a client need not say that its body is JSON.
    app = FastAPI(title="Tensorloom", strict_content_type=False)
    app.add_middleware(BodyLimit, most=LARGEST_BODY)
    error_handlers.install(app)
    for router in (_generation(service), _models(service), _health(service)):
        app.include_router(router)
    return app


def _generation(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["generation"])

    @router.post("/completions")
    async def completions(body: CompletionBody) -> Response:
        generation = await service.generate(CompletionFormat.id_prefix, body.to_prompt(), body.to_options())
        return await answer(generation, CompletionFormat(generation, body.shows_usage), body)

    @router.post("/chat/completions")
    async def chat_completions(body: ChatBody) -> Response:
        generation = await service.generate(ChatFormat.id_prefix, body.to_prompt(), body.to_options())
        return await answer(generation, ChatFormat(generation, body.shows_usage), body)

    return router


def _models(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["models"])

    @router.get("/models")
    async def models() -> Response:
        return Json(model_list([model_object(card) for card in await service.cards()]))

    @router.get("/models/{model:path}")
    async def model(model: str) -> Response:
        return Json(model_object(await service.card(model)))

    return router


def _health(service: Service) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health")
    async def health() -> Response:
        statuses = await service.statuses()
        ready = all(status is not None and status.servers for status in statuses.values())
        return Json(health_object(ready, statuses), status_code=200 if ready else 503)

    return router
