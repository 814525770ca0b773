"""The decoder as a Ray Serve deployment: one actor with the decode loop and the model servers of a model."""

import asyncio
import itertools
import logging
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace

from ray import serve

from deployments.config import ModelArgs
from deployments.decoder import intake
from deployments.decoder.explicit import build as explicit
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.resident import build as resident
from deployments.decoder.sequence import TokenSequence
from deployments.decoder.servers.connect import connect
from deployments.errors import TensorloomError
from deployments.messages import DecoderStatus, GenerateRequest, ServableDescription, TokenChunk
from deployments.streams import remote
from deployments.streams.frames import LaneAddress
from deployments.streams.outlets import Outlets

log = logging.getLogger(__name__)


@serve.deployment
class Decoder:
    """Generates tokens for one model. The constructor returns once every model server has answered."""

    async def __init__(self, model: ModelArgs) -> None:  # type: ignore[misc]  # Serve awaits it
        try:
            self._connected = await connect(model)
            draft = model.draft_model
            self._draft = await connect(draft) if draft else None
            self._loop = self._build_loop(model, draft)
        except Exception as error:
            # Serve retries without end, and reports the reason only in its own log files.
            print(f"{model.name} cannot be served: {error}", file=sys.stderr)
            raise
        self._running = asyncio.create_task(self._loop.run())
        await self._warm_up()
        self._numbers = itertools.count()
        self._outlets = Outlets()

    def _build_loop(self, model: ModelArgs, draft: ModelArgs | None) -> DecodeLoop:
        if self._connected.servable.manifest.pool is not None:
            draft_bytes = 0 if draft is None else draft.decoder.state_bytes
            return resident.build_loop(self._connected, model.decoder, self._draft, draft_bytes)
        if self._draft is not None:
            raise ValueError(f"{model.name} has explicit state, so that it cannot have a draft model")
        return explicit.build_loop(self._connected, model.decoder)

    async def _warm_up(self) -> None:
        """Generates two tokens: the first calls of a model server take seconds, and no client should wait."""
        max_tokens = min(2, self._connected.servable.manifest.context_length - 1)
        outbox = self._loop.submit(TokenSequence("warm-up", prompt=(0,), max_tokens=max_tokens))
        try:
            while (await outbox.take()).finish is None:
                pass
        except TensorloomError as error:
            log.warning("the warm-up of %s failed: %s", self._connected.servable.id, error)

    async def servable(self) -> ServableDescription:
        """Returns the version that is served here, with its manifest and tokenizer."""
        return self._connected.servable

    async def generate(self, request: GenerateRequest, reader: LaneAddress) -> None:
        """Writes the tokens of a new sequence to the lane `reader` as they are sampled.

        If the call is cancelled, the sequence is cancelled and its state freed.
        Raises RequestError (an id or a length is out of range), Overloaded, or ModelServerUnavailable.
        """
        await remote.write_stream(reader, self._outlets, self._chunks(request))

    async def _chunks(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        servable = self._connected.servable
        intake.check(request, servable)
        # Clients choose request ids, and two clients may choose the same one.
        sequence = intake.new_sequence(request, servable, f"{request.request_id}#{next(self._numbers)}")
        outbox = self._loop.submit(sequence)
        try:
            chunk = replace(await outbox.take(), cached=sequence.cached)
            yield chunk
            while chunk.finish is None:
                chunk = await outbox.take()
                yield chunk
        finally:
            self._loop.cancel(sequence)

    async def status(self) -> DecoderStatus:
        """Returns how much is running, waiting and held at this moment."""
        scheduler, drafts = self._loop.scheduler, self._loop.engine.draft_counts
        return DecoderStatus(
            version=self._connected.servable.id.version,
            servers=self._connected.servers.available,
            waiting=scheduler.waiting,
            running=scheduler.running,
            states=self._loop.engine.held,
            state_bytes=scheduler.state_bytes,
            drafted=drafts.drafted,
            accepted=drafts.accepted,
        )

    async def check_health(self) -> None:
        """Called by Serve, which replaces this replica if it raises."""
        if self._running.done():
            raise RuntimeError("the decode loop has ended") from self._running.exception()
        if await self._connected.servers.superseded():
            raise RuntimeError(
                f"{self._connected.servable.id} is no longer served; restarting with the latest version"
            )

    async def __del__(self) -> None:
        self._running.cancel()
        await self._connected.close()
        if self._draft is not None:
            await self._draft.close()
        await self._outlets.close()
