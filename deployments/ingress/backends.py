"""What the ingress asks of the other deployments, and how it asks through Serve's handles.

Does not know HTTP.
"""

from typing import Protocol, cast

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


class Backends(Protocol):
    """The rest of the application, as the ingress sees it."""

    @property
    def models(self) -> tuple[str, ...]: ...

    async def encode(self, prompt: Prompt, stale: ServableId | None = None) -> EncodedPrompt: ...

    async def generate(self, request: GenerateRequest) -> remote.Stream[TextChunk]: ...

    async def servable(self, model: str) -> ServableDescription: ...

    async def status(self, model: str) -> DecoderStatus: ...


class ServeBackends:
    """The deployments behind their handles."""

    def __init__(
        self, tokenizer: remote.Handle, detokenizer: remote.Handle, decoders: remote.Handles
    ) -> None:
        self._tokenizer = tokenizer
        self._detokenizer = detokenizer
        self._inbox = remote.open_inbox()
        self._decoders = decoders

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self._decoders)

    async def encode(self, prompt: Prompt, stale: ServableId | None = None) -> EncodedPrompt:
        return cast(EncodedPrompt, await remote.call_result(self._tokenizer.encode.remote(prompt, stale)))

    async def generate(self, request: GenerateRequest) -> remote.Stream[TextChunk]:
        lane = await self._inbox.open()
        response = self._detokenizer.generate.remote(request, lane.address)
        return remote.read_stream(response, lane, TextChunk.unpacked)

    async def servable(self, model: str) -> ServableDescription:
        return await remote.fetch_servable(self._decoders[model])

    async def status(self, model: str) -> DecoderStatus:
        return cast(DecoderStatus, await remote.call_result(self._decoders[model].status.remote()))
