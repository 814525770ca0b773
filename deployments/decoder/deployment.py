"""The decoder as a Ray Serve deployment: one model's decode loop and its model servers in one actor."""

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
    """Generates tokens for one model; its constructor returns once every model server answers."""

    async def __init__(self, model: ModelArgs) -> None:  # type: ignore[misc]  # Serve awaits it
        try:
            self._backend = await connect(model)
            build = (
                explicit.build_loop if self._backend.servable.manifest.pool is None else resident.build_loop
            )
            self._loop = build(self._backend, model.decoder)
        except Exception as error:
            # Serve tries again and again, and tells why only in its own log files.
            print(f"{model.name} cannot be served: {error}", file=sys.stderr)
            raise
        self._running = asyncio.create_task(self._loop.run())
        await self._warm_up()
        self._numbers = itertools.count()
        self._outlets = Outlets()
        self._stream_interval_s = model.decoder.stream_interval_s

    async def _warm_up(self) -> None:
        """A model server's first calls take seconds, which no client should wait for."""
        room = self._backend.servable.manifest.context_length - 1
        outbox = self._loop.submit(TokenSequence("warm-up", prompt=(0,), max_tokens=min(2, room)))
        try:
            while (await outbox.take()).finish is None:
                pass
        except TensorloomError as error:
            log.warning("%s cannot be warmed up: %s", self._backend.servable.id, error)

    async def servable(self) -> ServableDescription:
        """The version that is served here, with manifest and tokenizer."""
        return self._backend.servable

    async def generate(self, request: GenerateRequest, reader: LaneAddress) -> None:
        """Put tokens into a lane as steps give them; a cancelled call frees the row and its state.

        Raises RequestError (ids or lengths out of range), Overloaded, ModelServerUnavailable.
        """
        await remote.write_stream(reader, self._outlets, self._chunks(request))

    async def _chunks(self, request: GenerateRequest) -> AsyncGenerator[TokenChunk, None]:
        servable = self._backend.servable
        intake.check(request, servable)
        # Clients choose request ids; two of them may choose the same.
        sequence = intake.sequence(request, servable, f"{request.request_id}#{next(self._numbers)}")
        outbox = self._loop.submit(sequence)
        try:
            chunk = replace(await outbox.take(), cached=sequence.cached)
            yield chunk
            while chunk.finish is None:
                # The first token leaves at once; what follows is worth a message only so often.
                await outbox.gather(self._stream_interval_s)
                chunk = await outbox.take()
                yield chunk
        finally:
            self._loop.cancel(sequence)

    async def status(self) -> DecoderStatus:
        """What is held and what waits at this moment."""
        scheduler = self._loop.scheduler
        return DecoderStatus(
            version=self._backend.servable.id.version,
            servers=self._backend.servers.available,
            waiting=scheduler.waiting,
            running=scheduler.running,
            states=self._loop.engine.held,
            state_bytes=scheduler.state_bytes,
        )

    async def check_health(self) -> None:
        """Called by Serve: an exception has this replica replaced."""
        if self._running.done():
            raise RuntimeError("the decode loop has ended") from self._running.exception()
        if await self._backend.servers.superseded():
            raise RuntimeError(
                f"{self._backend.servable.id} is no longer served; starting anew with the latest"
            )

    async def __del__(self) -> None:
        self._running.cancel()
        await self._backend.close()
        await self._outlets.close()
