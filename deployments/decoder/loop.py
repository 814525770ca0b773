"""The decode loop: plan a step, have the engine run its calls, apply the results.

Works with sequences and the `Engine` interface. State layouts, Ray and gRPC lie behind the engine.
"""

import asyncio
import logging
import time

from deployments.decoder.engine import Engine, SampledTokens, StateLostError, StepRejectedError
from deployments.decoder.outbox import Outbox
from deployments.decoder.pace import ChunkPace
from deployments.decoder.scheduler import Batch, Scheduler
from deployments.decoder.sequence import Event, TokenSequence
from deployments.errors import TensorloomError
from deployments.messages import TokenLogprobs

log = logging.getLogger(__name__)


class DecodeLoop:
    """Owns all sequences of one decoder replica, each from its submission to its one finish or error."""

    def __init__(self, scheduler: Scheduler, engine: Engine, stream_interval_s: float) -> None:
        """`stream_interval_s`: the most seconds that the tokens of a sequence gather, after its first one."""
        self._scheduler = scheduler
        self._engine = engine
        self._chunk_pace = ChunkPace(stream_interval_s)
        self._stream_interval_s = stream_interval_s
        self._late_chunks: asyncio.TimerHandle | None = None
        """Sends what gathered if the next call takes longer than expected."""
        self._outboxes: dict[str, Outbox] = {}
        self._work = asyncio.Event()

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler, for its counts."""
        return self._scheduler

    @property
    def engine(self) -> Engine:
        """The engine, for its counts."""
        return self._engine

    def submit(self, sequence: TokenSequence) -> Outbox:
        """Queues a new sequence and returns the outbox of its tokens; raises as `Scheduler.submit`."""
        self._scheduler.submit(sequence)
        outbox = self._outboxes[sequence.id] = Outbox()
        self._work.set()
        return outbox

    def cancel(self, sequence: TokenSequence) -> None:
        """Frees all that the sequence holds, at once; does nothing if it has ended."""
        if sequence.live:
            self._scheduler.remove(sequence, Event.CANCEL)
            self._forget(sequence)

    async def run(self) -> None:
        """Runs steps while there is work, else waits for work; ends only by cancellation or a bug."""
        try:
            while True:
                await self._work.wait()
                await self._run_until_idle()
        except Exception as error:
            log.exception("the decode loop failed")
            self._fail_all(TensorloomError(f"the decode loop failed: {error!r}"))
            raise

    async def _run_until_idle(self) -> None:
        while batches := self._plan():
            await asyncio.gather(*(self._step(batch) for batch in batches))
        self._work.clear()
        self._audit()

    def _plan(self) -> tuple[Batch, ...]:
        """Preempts and admits sequences, then returns the calls of the next step; () when idle."""
        for sequence in self._scheduler.preempt():
            self._engine.drop(sequence)
        for sequence in self._scheduler.admit():
            sequence.begin(self._engine.admit(sequence))
        prefilling = self._scheduler.prefilling
        prefill_tokens = self._engine.prefill_tokens(prefilling, self._scheduler.running - prefilling)
        return self._scheduler.plan(self._engine.parallel_calls, prefill_tokens)

    async def _step(self, batch: Batch) -> None:
        """Has the engine run one call, and applies its results or its failure."""
        batch = batch.running
        if not batch.rows:
            return
        try:
            results = await self._engine.run(batch, self._scheduler.stable)
        except StepRejectedError as error:
            await self._isolate(batch, error)
        except StateLostError as error:
            log.warning("%s; %d sequences are prefilled again", error, self._scheduler.running)
            self._scheduler.rewind()
        except TensorloomError as error:
            self._fail(batch, error)
        else:
            for row, sampled in zip(batch.rows, results, strict=True):
                # A sequence may have been cancelled while its call ran.
                if sampled is not None and row.sequence.running:
                    self._apply(row.sequence, row.count, sampled)
        if self._chunk_pace.due(time.perf_counter(), self._scheduler.running):
            self._send_chunks()
        elif self._late_chunks is None:
            event_loop = asyncio.get_running_loop()
            self._late_chunks = event_loop.call_later(self._stream_interval_s, self._send_chunks)

    def _send_chunks(self) -> None:
        for outbox in self._outboxes.values():
            outbox.send()
        if self._late_chunks is not None:
            self._late_chunks.cancel()
            self._late_chunks = None

    def _apply(self, sequence: TokenSequence, count: int, sampled: SampledTokens) -> None:
        """Records `count` tokens as computed, and appends the sampled ones up to the one that ends it."""
        sequence.feed(count)
        for i, token in enumerate(sampled.ids):
            if i:
                # The call has computed every sampled token but the last.
                sequence.feed(1)
            logprobs = None if sampled.logprobs is None else sampled.logprobs[i]
            if self._append(sequence, token, logprobs):
                return

    def _append(self, sequence: TokenSequence, token: int, logprobs: TokenLogprobs | None) -> bool:
        """Appends one token and hands it to the client; returns whether the sequence has finished."""
        outbox = self._outboxes[sequence.id]
        reason = sequence.append(token)
        if token not in sequence.eos:
            outbox.put(token, logprobs)
        if reason is None:
            return False
        outbox.finish(reason)
        self._scheduler.retire(sequence)
        self._forget(sequence)
        return True

    async def _isolate(self, batch: Batch, error: StepRejectedError) -> None:
        """Runs the rows of a rejected call again in halves, so that only the row at fault fails."""
        if len(batch.rows) == 1:
            self._fail(batch, TensorloomError(f"the model server failed the step: {error}"))
            return
        middle = len(batch.rows) // 2
        await self._step(Batch(batch.rows[:middle]))
        await self._step(Batch(batch.rows[middle:]))

    def _fail(self, batch: Batch, error: TensorloomError) -> None:
        for row in batch.running.rows:
            self._fail_sequence(row.sequence, error)

    def _fail_all(self, error: TensorloomError) -> None:
        for sequence in self._scheduler.live:
            self._fail_sequence(sequence, error)

    def _fail_sequence(self, sequence: TokenSequence, error: TensorloomError) -> None:
        self._outboxes[sequence.id].fail(error)
        self._scheduler.remove(sequence, Event.FAIL)
        self._forget(sequence)

    def _forget(self, sequence: TokenSequence) -> None:
        self._engine.drop(sequence)
        del self._outboxes[sequence.id]

    def _audit(self) -> None:
        """Asserts that scheduler and engine agree on what is held; called when the loop is idle."""
        self._scheduler.audit()
        self._engine.audit()
        held = self._engine.held
        assert held <= self._scheduler.running, f"{held} states for {self._scheduler.running} sequences"
