"""The decode loop: plan a step, have the engine run it, apply what came back.

Knows sequences and the interface of engines; neither layouts of state, nor Ray, nor gRPC.
"""

import asyncio
import logging

from deployments.decoder.engine import Engine, Sampled, StateLostError, StepRejectedError
from deployments.decoder.outbox import Outbox
from deployments.decoder.scheduler import Batch, Scheduler
from deployments.decoder.sequence import Event, TokenSequence
from deployments.errors import TensorloomError
from deployments.messages import TokenLogprobs

log = logging.getLogger(__name__)


class DecodeLoop:
    """Owns every sequence of one decoder replica from submission to its one finish or error."""

    def __init__(self, scheduler: Scheduler, engine: Engine) -> None:
        self._scheduler = scheduler
        self._engine = engine
        self._outboxes: dict[str, Outbox] = {}
        self._work = asyncio.Event()

    @property
    def scheduler(self) -> Scheduler:
        return self._scheduler

    @property
    def engine(self) -> Engine:
        return self._engine

    def submit(self, sequence: TokenSequence) -> Outbox:
        """Take a new sequence; raises what Scheduler.submit raises."""
        self._scheduler.submit(sequence)
        outbox = self._outboxes[sequence.id] = Outbox()
        self._work.set()
        return outbox

    def cancel(self, sequence: TokenSequence) -> None:
        """Free everything the sequence holds, now; nothing where it has ended."""
        if sequence.live:
            self._scheduler.remove(sequence, Event.CANCEL)
            self._forget(sequence)

    async def run(self) -> None:
        """Step for as long as there is work, wait where there is none; ends only by cancellation or a bug."""
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
        for sequence in self._scheduler.preempt():
            self._engine.drop(sequence)
        for sequence in self._scheduler.admit():
            sequence.begin(self._engine.admit(sequence))
        return self._scheduler.plan(self._engine.parallel, self._engine.prefill_tokens)

    async def _step(self, batch: Batch) -> None:
        batch = batch.running
        if not batch.rows:
            return
        try:
            results = await self._engine.run(batch, self._scheduler.stable)
        except StepRejectedError as error:
            await self._isolate(batch, error)
        except StateLostError as error:
            log.warning("%s; feeding %d sequences again", error, self._scheduler.running)
            self._scheduler.rewind()
        except TensorloomError as error:
            self._fail(batch, error)
        else:
            for row, sampled in zip(batch.rows, results, strict=True):
                # A sequence may have been cancelled while its row was away.
                if row.sequence.running:
                    row.sequence.feed(row.count)
                    self._take(row.sequence, sampled)

    def _take(self, sequence: TokenSequence, sampled: Sampled) -> None:
        """Hand the row's new tokens to the client, up to the one that ends the sequence."""
        for i, token in enumerate(sampled.ids):
            if i:
                # Within one call every token but the last has been fed already.
                sequence.feed(1)
            logprobs = None if sampled.logprobs is None else sampled.logprobs[i]
            if self._append(sequence, token, logprobs):
                return

    def _append(self, sequence: TokenSequence, token: int, logprobs: TokenLogprobs | None) -> bool:
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
        """Run the rows of a rejected call in halves, so that only the one at fault fails."""
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
        self._scheduler.audit()
        self._engine.audit()
        held = self._engine.held
        assert held <= self._scheduler.running, f"{held} states for {self._scheduler.running} sequences"
