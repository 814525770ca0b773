"""The routes. Each turns a checked body into a call of the service, and its result into a response.

Does not know Ray.
"""

from contextlib import aclosing

from fastapi import FastAPI
from starlette.responses import Response

from deployments.ingress import error_handlers
from deployments.ingress.responses import CompletionFormat, Usage
from deployments.ingress.schemas import CompletionBody
from deployments.ingress.service import Service
from deployments.ingress.sse import EventStream, UsageWishes
from deployments.ingress.wire import Json


def create_app(service: Service) -> FastAPI:
    app = FastAPI(title="Tensorloom")
    error_handlers.install(app)

    @app.post("/v1/completions")
    async def completions(body: CompletionBody) -> Response:
        generation = await service.generate("cmpl", body.to_prompt(), body.to_options())
        shape = CompletionFormat(generation, body.stream_options.include_usage)
        if body.stream:
            return EventStream(generation, shape, UsageWishes(body.stream_options.include_usage))
        texts, tokens, finish = [], 0, None
        async with aclosing(generation):
            async for chunk in generation.chunks():
                texts.append(chunk.text)
                tokens += chunk.tokens
                finish = chunk.finish
        assert finish
        return Json(shape.body("".join(texts), finish, Usage(generation.prompt_tokens, tokens)))

    return app
