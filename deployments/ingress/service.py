"""A request's journey through the other deployments, without HTTP: prompt, limits, first chunk, the rest."""

import secrets
import time
from dataclasses import dataclass

from deployments import streams
from deployments.errors import ModelNotFound
from deployments.ingress.backends import Backends
from deployments.ingress.resolve import Options, resolve
from deployments.messages import Prompt, TextChunk


@dataclass
class Generation:
    """One that has begun: its first chunk is there, and failures up to then have been raised."""

    id: str
    model: str
    created: int
    """Unix time, in seconds."""
    prompt_tokens: int
    first: TextChunk
    rest: streams.Stream[TextChunk]

    async def chunks(self) -> streams.Stream[TextChunk]:
        yield self.first
        async for chunk in self.rest:
            yield chunk

    async def aclose(self) -> None:
        """Ends it wherever it is; whoever holds a generation closes it."""
        await self.rest.aclose()


class Service:
    """What the routes call."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self.started = int(time.time())

    @property
    def models(self) -> tuple[str, ...]:
        return self._backends.models

    def check_model(self, model: str) -> None:
        """ModelNotFound where `model` is not served here."""
        if model not in self.models:
            served = ", ".join(self.models)
            raise ModelNotFound(f"The model {model!r} does not exist; served here: {served}.", "model")

    async def generate(self, id_prefix: str, prompt: Prompt, options: Options) -> Generation:
        """Begins a generation."""
        self.check_model(prompt.model)
        encoded = await self._backends.encode(prompt)
        request = resolve(f"{id_prefix}-{secrets.token_hex(16)}", encoded, options, secrets.randbits(64))
        rest = self._backends.generate(request)
        return Generation(
            id=request.request_id,
            model=prompt.model,
            created=int(time.time()),
            prompt_tokens=len(encoded.ids),
            first=await anext(rest),
            rest=rest,
        )

    async def context_length(self, model: str) -> int:
        """Tokens that prompt and answer may have together."""
        return (await self._backends.servable(model)).manifest.context_length
