"""The decoder as a Ray Serve deployment: one model's decode loop and its model servers in one actor."""

import asyncio
import itertools
import logging
import sys
from collections.abc import AsyncGenerator
from dataclasses import replace

from ray import serve

from contract.manifest import Pool
from deployments import streams
from deployments.config import DecoderArgs, ModelArgs
from deployments.decoder import intake
from deployments.decoder.backend import Backend, connect
from deployments.decoder.explicit import ExplicitEngine
from deployments.decoder.ladder import Ladder
from deployments.decoder.lease import Lease
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.pace import Pace
from deployments.decoder.resident import ResidentEngine
from deployments.decoder.room import Blocks, Reserved
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.sequence import Sequence
from deployments.decoder.slots import SlotTable
from deployments.decoder.state_store import StateStore
from deployments.errors import TensorloomError
from deployments.links.frames import LaneAddress
from deployments.links.outlets import Outlets
from deployments.messages import DecoderStatus, GenerateRequest, Servable, TokenChunk

log = logging.getLogger(__name__)


@serve.deployment
class Decoder:
    """Generates tokens for one model; its constructor returns once every model server answers."""

    async def __init__(self, model: ModelArgs) -> None:  # type: ignore[misc]  # Serve awaits it
        try:
            self._backend = await connect(model)
            self._loop = _loop(self._backend, model.decoder)
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
        outbox = self._loop.submit(Sequence("warm-up", prompt=(0,), max_tokens=min(2, room)))
        try:
            while (await outbox.take()).finish is None:
                pass
        except TensorloomError as error:
            log.warning("%s cannot be warmed up: %s", self._backend.servable.id, error)

    async def servable(self) -> Servable:
        """The version that is served here, with manifest and tokenizer."""
        return self._backend.servable

    async def generate(self, request: GenerateRequest, reader: LaneAddress) -> None:
        """Put tokens into a lane as steps give them; a cancelled call frees the row and its state.

        Raises RequestError (ids or lengths out of range), Overloaded, ModelServerUnavailable.
        """
        await streams.into(reader, self._outlets, self._chunks(request))

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


def _loop(backend: Backend, args: DecoderArgs) -> DecodeLoop:
    pool = backend.servable.manifest.pool
    return _explicit(backend, args) if pool is None else _resident(backend, args, pool)


def _explicit(backend: Backend, args: DecoderArgs) -> DecodeLoop:
    manifest = backend.servable.manifest
    engine = ExplicitEngine(StateStore(manifest), backend.servers, Pace(args.stream_interval_s))
    limits = Limits(args.max_batch_size, args.max_running, args.max_waiting, args.prefill_token_budget)
    return DecodeLoop(Scheduler(limits, Reserved(args.state_bytes, manifest.state_bytes)), engine)


def _resident(backend: Backend, args: DecoderArgs, pool: Pool) -> DecodeLoop:
    manifest = backend.servable.manifest
    if len(backend.replicas) != 1:
        raise ValueError(
            f"{manifest.name} keeps its state in the model server: a decoder replica has one of those, "
            f"not {len(backend.replicas)}; use more decoder replicas instead"
        )
    blocks = args.state_bytes // pool.bytes_per_block
    if blocks < 1:
        raise ValueError(f"state_bytes {args.state_bytes} is less than a block, {pool.bytes_per_block}")
    ladder = Ladder.of(blocks, args.max_running, pool.blocks)
    slots = SlotTable(ladder, pool.block_size, args.prefix_cache)
    lease = Lease(backend.servers, ladder.slots)
    engine = ResidentEngine(pool, slots, lease, args.stream_interval_s, args.draft_tokens)
    limits = Limits(
        # A call spans the first slots whatever its batch is, so that splitting one would save nothing.
        ladder.total,
        ladder.total,
        args.max_waiting,
        args.prefill_token_budget,
        pool.block_size if args.prefix_cache else None,
    )
    return DecodeLoop(Scheduler(limits, Blocks(pool, ladder)), engine)
