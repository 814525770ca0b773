"""A request's journey through the other deployments, without HTTP: prompt, limits, first chunk, the rest."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass

from deployments.errors import ModelNotFound, ModelServerUnavailable, ServableReplaced, TensorloomError
from deployments.ingress.backends import Backends
from deployments.ingress.resolve import RequestOptions, resolve
from deployments.messages import DecoderStatus, EncodedPrompt, Prompt, TextChunk
from deployments.streams import remote

HEALTH_TIMEOUT_S = 5.0
PATIENCE_S = 30.0
"""For a deployment to be there at all; Serve's own calls would wait for ever."""


@dataclass
class Generation:
    """One that has begun: its first chunk is there, and failures up to then have been raised."""

    id: str
    model: str
    created: int
    """Unix time, in seconds."""
    prompt_tokens: int
    first: TextChunk
    rest: remote.Stream[TextChunk]

    @property
    def cached_tokens(self) -> int:
        """Of those of the prompt, how many were not computed anew."""
        return self.first.cached

    async def chunks(self) -> AsyncGenerator[TextChunk, None]:
        yield self.first
        async for chunk in self.rest:
            yield chunk

    async def aclose(self) -> None:
        """Ends it wherever it is; whoever holds a generation closes it."""
        await self.rest.aclose()


@dataclass(frozen=True)
class ModelCard:
    """What a listing says of a model."""

    name: str
    created: int
    """Unix time, in seconds."""
    context_length: int | None
    """None while its decoder does not answer."""


class Service:
    """What the routes call."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._started = int(time.time())
        self._context_lengths: dict[str, int] = {}

    @property
    def models(self) -> tuple[str, ...]:
        return self._backends.models

    async def generate(self, id_prefix: str, prompt: Prompt, options: RequestOptions) -> Generation:
        """Begins a generation."""
        self._check_model(prompt.model)
        encoded = await self._encode(prompt)
        try:
            return await self._begin(id_prefix, encoded, options)
        except ServableReplaced:
            encoded = await self._backends.encode(prompt, stale=encoded.servable)
            return await self._begin(id_prefix, encoded, options)

    async def _begin(self, id_prefix: str, encoded: EncodedPrompt, options: RequestOptions) -> Generation:
        id_ = f"{id_prefix}-{secrets.token_hex(16)}"
        rest = await self._backends.generate(resolve(id_, encoded, options, secrets.randbits(64)))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(rest.aclose)
            first = await self._first(rest, encoded.servable.model)
            stack.pop_all()
        return Generation(
            id=id_,
            model=encoded.servable.model,
            created=int(time.time()),
            prompt_tokens=len(encoded.ids),
            first=first,
            rest=rest,
        )

    async def _encode(self, prompt: Prompt) -> EncodedPrompt:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._backends.encode(prompt)
        except TimeoutError:
            raise ModelServerUnavailable(f"{prompt.model!r} is not ready; try again later.") from None

    async def _first(self, rest: remote.Stream[TextChunk], model: str) -> TextChunk:
        """The first chunk, however long it waits its turn, but not for a decoder that does not answer."""
        first = asyncio.ensure_future(anext(rest))
        try:
            while not (await asyncio.wait({first}, timeout=PATIENCE_S))[0]:
                if await self._status(model) is None:
                    raise ModelServerUnavailable(
                        f"The decoder of {model!r} does not answer; try again later."
                    )
            return first.result()
        finally:
            first.cancel()
            await asyncio.wait({first})

    async def cards(self) -> list[ModelCard]:
        return [await self.card(model) for model in self.models]

    async def card(self, model: str) -> ModelCard:
        self._check_model(model)
        return ModelCard(model, self._started, await self._context_length(model))

    async def statuses(self) -> dict[str, DecoderStatus | None]:
        """What each model's decoder holds; None for one that does not answer."""
        statuses = await asyncio.gather(*(self._status(model) for model in self.models))
        return dict(zip(self.models, statuses, strict=True))

    async def _status(self, model: str) -> DecoderStatus | None:
        try:
            async with asyncio.timeout(HEALTH_TIMEOUT_S):
                return await self._backends.status(model)
        except (TimeoutError, TensorloomError):
            return None

    def _check_model(self, model: str) -> None:
        if model not in self.models:
            served = ", ".join(self.models)
            raise ModelNotFound(f"The model {model!r} does not exist; served here: {served}.", "model")

    async def _context_length(self, model: str) -> int | None:
        if model not in self._context_lengths:
            try:
                servable = await self._backends.servable(model)
            except TensorloomError:
                return None
            self._context_lengths[model] = servable.manifest.context_length
        return self._context_lengths[model]
