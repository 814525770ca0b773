"""The application without Serve: the pure parts of every deployment behind the real routes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import httpx

from deployments.decoder import intake
from deployments.detokenizer.deployment import Vocabulary
from deployments.ingress.routes import create_app
from deployments.ingress.service import Service
from deployments.messages import (
    DecoderStatus,
    EncodedPrompt,
    GenerateRequest,
    Prompt,
    ServableDescription,
    ServableId,
    TextChunk,
)
from deployments.tokenizer.prompt_encoder import PromptEncoder
from tests.deployments.fakes import Script, servable


class InProcess:
    """Backends of two models: `echo`, and `mute`, which has no chat template. Records the requests."""

    models = ("echo", "mute")

    def __init__(self) -> None:
        self.servables = {name: servable(name, chat=name == "echo") for name in self.models}
        self.asked: list[GenerateRequest] = []
        self.servers = 1

    async def encode(self, prompt: Prompt, stale: ServableId | None = None) -> EncodedPrompt:  # noqa: ARG002
        return PromptEncoder(self.servables[prompt.model]).encode(prompt)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TextChunk, None]:
        intake.check(request, self.servables[request.servable.model])
        self.asked.append(request)
        return self._generate(request)

    async def _generate(self, request: GenerateRequest) -> AsyncGenerator[TextChunk, None]:
        model = self.servables[request.servable.model]
        assembler = Vocabulary.of(model).assembler(request)
        async with aclosing(Script(model).generate(request)) as chunks:
            async for chunk in chunks:
                text = assembler.push(chunk)
                if text:
                    yield text
                if text and text.finish:
                    return

    async def servable(self, model: str) -> ServableDescription:
        return self.servables[model]

    async def status(self, model: str) -> DecoderStatus:  # noqa: ARG002
        return DecoderStatus(1, self.servers, waiting=0, running=0, states=0, state_bytes=0)


def client(backends: InProcess) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(Service(backends)), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")
