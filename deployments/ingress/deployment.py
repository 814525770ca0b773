"""The ingress deployment: connects the HTTP application with the other deployments."""

from typing import cast

from fastapi import FastAPI
from ray import serve

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
from deployments.streams import remote


class ServeBackends:
    """The other deployments behind their Serve handles; implements `service.Backends`."""

    def __init__(
        self, tokenizer: remote.Handle, detokenizer: remote.Handle, decoders: remote.Handles
    ) -> None:
        self._encode = remote.Method(tokenizer, "encode")
        self._generate = remote.Method(detokenizer, "generate")
        self._inbox = remote.open_inbox()
        self._decoders = decoders

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(self._decoders)

    async def encode(self, prompt: Prompt, stale: ServableId | None = None) -> EncodedPrompt:
        """Encodes a prompt on the tokenizer."""
        return cast(EncodedPrompt, await remote.call_result(self._encode(prompt, stale)))

    async def generate(self, request: GenerateRequest) -> remote.Stream[TextChunk]:
        """Starts a generation on the detokenizer."""
        lane = await self._inbox.open()
        response = self._generate(request, lane.address)
        return remote.read_stream(response, lane, TextChunk.unpacked)

    async def servable(self, model: str) -> ServableDescription:
        """Asks the model's decoder for its servable."""
        return await remote.fetch_servable(self._decoders[model])

    async def status(self, model: str) -> DecoderStatus:
        """Asks the model's decoder for its status."""
        return cast(DecoderStatus, await remote.call_result(self._decoders[model].status.remote()))


@serve.deployment
@serve.ingress()
class Ingress:
    """Answers HTTP requests; `decoders` maps a model's name to its decoder."""

    def __init__(
        self, tokenizer: remote.Handle, detokenizer: remote.Handle, decoders: remote.Handles
    ) -> None:
        self._service = Service(ServeBackends(tokenizer, detokenizer, decoders))

    def __serve_build_asgi_app__(self) -> FastAPI:
        return create_app(self._service)
