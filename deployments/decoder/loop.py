"""The decode loop: plan a step, have model servers run it, apply what they answered.

Knows sequences, their state and the interface of model servers; neither Ray nor gRPC.
"""

import asyncio
import logging
from collections.abc import Sequence as Rows

import numpy as np

from contract import names
from contract.errors import TensorError
from deployments.decoder.model_servers import Array, ModelServers, StepRejectedError, Tensors
from deployments.decoder.outbox import Outbox
from deployments.decoder.sampling import SamplingBatch, sample
from deployments.decoder.scheduler import Batch, Row, Scheduler
from deployments.decoder.sequence import Event, Sequence
from deployments.decoder.state_store import StateStore
from deployments.errors import TensorloomError

log = logging.getLogger(__name__)


class DecodeLoop:
    """Owns every sequence of one decoder replica from submission to its one finish or error."""

    def __init__(self, scheduler: Scheduler, states: StateStore, servers: ModelServers) -> None:
        self._scheduler = scheduler
        self._states = states
        self._servers = servers
        self._outboxes: dict[str, Outbox] = {}
        self._work = asyncio.Event()

    @property
    def scheduler(self) -> Scheduler:
        return self._scheduler

    @property
    def states(self) -> StateStore:
        return self._states

    def submit(self, sequence: Sequence) -> Outbox:
        """Take a new sequence; raises what Scheduler.submit raises."""
        self._scheduler.submit(sequence)
        outbox = self._outboxes[sequence.id] = Outbox()
        self._work.set()
        return outbox

    def cancel(self, sequence: Sequence) -> None:
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
        while batches := self._scheduler.plan(self._servers.available):
            await asyncio.gather(*(self._step(batch) for batch in batches))
        self._work.clear()
        self._audit()

    async def _step(self, batch: Batch) -> None:
        batch = batch.running
        if not batch.rows:
            return
        try:
            outputs = await self._servers.step(self._inputs(batch))
            self._apply(batch, outputs)
        except StepRejectedError as error:
            await self._isolate(batch, error)
        except TensorError as error:
            self._fail(batch, TensorloomError(f"the model server's answer breaks the contract: {error}"))
        except TensorloomError as error:
            self._fail(batch, error)

    def _inputs(self, batch: Batch) -> Tensors:
        tokens = np.zeros((len(batch.rows), batch.width), np.int32)
        for i, row in enumerate(batch.rows):
            tokens[i, : row.count] = row.sequence.next_tokens(row.count)
        for row in batch.rows:
            if row.sequence.id not in self._states:
                self._states.create(row.sequence.id, row.sequence.capacity)
        lengths = np.array([row.count for row in batch.rows], np.int32)
        state = self._states.stack([row.sequence.id for row in batch.rows])
        return {names.TOKENS: tokens, names.LENGTHS: lengths, **state}

    def _apply(self, batch: Batch, outputs: Tensors) -> None:
        """Put the new state in place, sample for the rows whose tokens are all computed now."""
        logits = self._logits(batch, outputs)
        owners = [row.sequence.id for row in batch.rows]
        self._states.update(owners, [row.count for row in batch.rows], outputs)
        due = [
            i
            for i, row in enumerate(batch.rows)
            # A sequence may have been cancelled while its row was away.
            if row.sequence.running and row.sequence.feed(row.count)
        ]
        if due:
            self._sample([batch.rows[i] for i in due], logits[due])

    def _logits(self, batch: Batch, outputs: Tensors) -> Array:
        logits = outputs.get(names.LOGITS)
        if logits is None or logits.ndim != 2 or len(logits) != len(batch.rows):
            raise TensorError(f"{names.LOGITS} must be (batch={len(batch.rows)}, vocabulary)")
        return logits

    def _sample(self, rows: Rows[Row], logits: Array) -> None:
        sequences = [row.sequence for row in rows]
        params = SamplingBatch.of([s.sampling for s in sequences], [s.length for s in sequences])
        ids = sample(logits, params).tolist()
        broken = np.isnan(logits.max(axis=1))  # max hands a NaN on
        for sequence, token, nan in zip(sequences, ids, broken, strict=True):
            if nan:
                self._fail_sequence(sequence, TensorloomError("the model's logits are not numbers"))
            else:
                self._take(sequence, token)

    def _take(self, sequence: Sequence, token: int) -> None:
        outbox = self._outboxes[sequence.id]
        before = len(sequence.generated)
        reason = sequence.append(token)
        if len(sequence.generated) > before:
            outbox.put(token)
        if reason is not None:
            outbox.finish(reason)
            self._scheduler.retire(sequence)
            self._forget(sequence)

    async def _isolate(self, batch: Batch, error: StepRejectedError) -> None:
        """Run the rows of a rejected call in halves, so that only the one at fault fails."""
        if len(batch.rows) == 1:
            self._fail(batch, TensorloomError(f"the model server rejected the step: {error}"))
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

    def _fail_sequence(self, sequence: Sequence, error: TensorloomError) -> None:
        self._outboxes[sequence.id].fail(error)
        self._scheduler.remove(sequence, Event.FAIL)
        self._forget(sequence)

    def _forget(self, sequence: Sequence) -> None:
        self._states.drop(sequence.id)
        del self._outboxes[sequence.id]

    def _audit(self) -> None:
        self._scheduler.audit()
        held = len(self._states)
        assert held <= self._scheduler.running, f"{held} states for {self._scheduler.running} sequences"
