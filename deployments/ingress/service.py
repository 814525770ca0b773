"""Generations, models and their status, by calls of the other deployments; without HTTP.

A generation goes: encode the prompt, resolve defaults and limits, start, wait for the first chunk.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Protocol

from deployments.errors import ModelNotFound, ModelServerUnavailable, ServableReplaced, TensorloomError
from deployments.ingress.resolve import RequestOptions, resolve
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

STATUS_TIMEOUT_S = 5.0
"""How long a decoder may take to report its status."""
BACKEND_TIMEOUT_S = 30.0
"""How long to wait for a deployment that may not be running: Serve's own calls would wait forever."""


class Backends(Protocol):
    """The other deployments, as the service calls them."""

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""

    async def encode(self, prompt: Prompt, stale: ServableId | None = None) -> EncodedPrompt:
        """Encodes a prompt; `stale` is a version that must not be used any more."""

    async def generate(self, request: GenerateRequest) -> remote.Stream[TextChunk]:
        """Starts a generation and returns its chunks; the chunk whose `finish` is set is the last."""

    async def servable(self, model: str) -> ServableDescription:
        """Returns the servable that the model's decoder serves."""

    async def status(self, model: str) -> DecoderStatus:
        """Returns the load of the model's decoder."""


@dataclass
class StartedGeneration:
    """A generation whose first chunk has arrived; earlier failures were raised instead.

    Its owner must close it.
    """

    id: str
    """The id of the answer, with the API's prefix."""
    model: str
    created: int
    """Unix time, in seconds."""
    prompt_tokens: int
    first: TextChunk
    rest: remote.Stream[TextChunk]
    """The chunks after the first; empty if the first was the last."""

    @property
    def cached_tokens(self) -> int:
        """How many of the prompt's tokens came from the prefix cache."""
        return self.first.cached

    async def chunks(self) -> AsyncGenerator[TextChunk, None]:
        """Yields all chunks, the first one included."""
        yield self.first
        async for chunk in self.rest:
            yield chunk

    async def aclose(self) -> None:
        """Ends the generation in all processes that work on it."""
        await self.rest.aclose()


@dataclass(frozen=True)
class ModelCard:
    """The description of a model in a listing."""

    name: str
    created: int
    """Unix time at which this process started, in seconds."""
    context_length: int | None
    """Tokens; None while the model's decoder does not answer."""


class Service:
    """The operations behind the routes."""

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._started = int(time.time())
        self._context_lengths: dict[str, int] = {}

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""
        return self._backends.models

    async def generate(self, id_prefix: str, prompt: Prompt, options: RequestOptions) -> StartedGeneration:
        """Starts a generation and waits for its first chunk; raises any TensorloomError until then.

        `id_prefix` begins the answer's id.
        """
        self._check_model(prompt.model)
        encoded = await self._encode(prompt)
        try:
            return await self._start(id_prefix, encoded, options)
        except ServableReplaced:
            encoded = await self._backends.encode(prompt, stale=encoded.servable)
            return await self._start(id_prefix, encoded, options)

    async def _start(
        self, id_prefix: str, encoded: EncodedPrompt, options: RequestOptions
    ) -> StartedGeneration:
        id_ = f"{id_prefix}-{secrets.token_hex(16)}"
        rest = await self._backends.generate(resolve(id_, encoded, options, secrets.randbits(64)))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(rest.aclose)
            first = await self._first(rest, encoded.servable.model)
            stack.pop_all()
        return StartedGeneration(
            id=id_,
            model=encoded.servable.model,
            created=int(time.time()),
            prompt_tokens=len(encoded.ids),
            first=first,
            rest=rest,
        )

    async def _encode(self, prompt: Prompt) -> EncodedPrompt:
        try:
            async with asyncio.timeout(BACKEND_TIMEOUT_S):
                return await self._backends.encode(prompt)
        except TimeoutError:
            raise ModelServerUnavailable(
                f"The model {prompt.model!r} is not ready; try again later."
            ) from None

    async def _first(self, rest: remote.Stream[TextChunk], model: str) -> TextChunk:
        """Waits for the first chunk without a limit, as long as the decoder reports its status."""
        first = asyncio.ensure_future(anext(rest))
        try:
            while not (await asyncio.wait({first}, timeout=BACKEND_TIMEOUT_S))[0]:
                if await self._status(model) is None:
                    raise ModelServerUnavailable(
                        f"The decoder of {model!r} does not answer; try again later."
                    )
            return first.result()
        finally:
            first.cancel()
            await asyncio.wait({first})

    async def cards(self) -> list[ModelCard]:
        """Returns the cards of all models."""
        return [await self.card(model) for model in self.models]

    async def card(self, model: str) -> ModelCard:
        """Returns the card of one model; raises ModelNotFound."""
        self._check_model(model)
        return ModelCard(model, self._started, await self._context_length(model))

    async def statuses(self) -> dict[str, DecoderStatus | None]:
        """Returns the load of each model's decoder; None for a decoder that does not answer."""
        statuses = await asyncio.gather(*(self._status(model) for model in self.models))
        return dict(zip(self.models, statuses, strict=True))

    async def _status(self, model: str) -> DecoderStatus | None:
        try:
            async with asyncio.timeout(STATUS_TIMEOUT_S):
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
