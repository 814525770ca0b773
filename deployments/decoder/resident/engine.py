"""The resident layout: state stays in the model server's pool, and tokens are sampled in the graph.

Here is only which slot belongs to whom; the sequences' tokens are the truth, from which slots can be filled
again. One call at a time: prefill and decode of a pool never overlap.
"""

import asyncio
from collections.abc import Sequence

from contract import names
from contract.manifest import Pool
from deployments.decoder.calls import sampling_inputs
from deployments.decoder.engine import NO_TOKENS, NoTokenError, SampledTokens, StateLostError
from deployments.decoder.pace import Pace
from deployments.decoder.resident import pool_calls
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.prefix_cache import Ids
from deployments.decoder.resident.slots import CachedPrefix, Move, SlotTable
from deployments.decoder.resident.speculation import Drafts, Speculation
from deployments.decoder.scheduler import Batch, BatchRow
from deployments.decoder.sequence import SequenceState, TokenSequence

FIRST_PROMPT_TOKENS = 128
"""How many are taken to fill the interval before anything was measured."""


class ResidentEngine:
    """Drives one pool."""

    def __init__(
        self, pool: Pool, slots: SlotTable, lease: Lease, interval_s: float, draft_tokens: int = 0
    ) -> None:
        """`interval_s`: how long one call may take while streams have to move."""
        self._pool = pool
        self._slots = slots
        self._lease = lease
        self._steps = Pace(interval_s)
        self._prompt_tokens = Pace(interval_s, initial_units=FIRST_PROMPT_TOKENS)
        self._speculation = Speculation(draft_tokens, self._steps, self._prompt_tokens)
        self._copies: list[Move] = []
        """Beginnings of new sequences that lie in other slots, to be made one after the other."""
        self._one_call = asyncio.Lock()

    @property
    def parallel_calls(self) -> int:
        return 1

    @property
    def held(self) -> int:
        return len(self._slots)

    @property
    def prefill_tokens(self) -> int:
        return self._prompt_tokens.units(self._pool.positions)

    def admit(self, sequence: TokenSequence) -> int:
        beginning = self._take(sequence, sequence.ids)
        if beginning.copy is not None:
            self._copies.append(beginning.copy)
        return beginning.cached

    async def run(self, batch: Batch, stable: bool) -> Sequence[SampledTokens]:
        async with self._one_call:
            try:
                self._check_lease()
                await self._copy_beginnings()
                # Sequences may have been dropped while other calls were away.
                running = batch.running
                sampled = await self._call(running, stable) if running.rows else {}
            except StateLostError:
                self._slots.clear()
                self._copies.clear()
                raise
            except NoTokenError:
                if len(running.rows) == 1:
                    # What is not a number stays so behind a mask: nobody may get the slot as it is.
                    self._lease.give_up()
                raise
        return [sampled.get(owner, NO_TOKENS) for owner in batch.sequence_ids]

    def audit(self) -> None:
        self._slots.audit()

    def drop(self, sequence: TokenSequence) -> None:
        # A call that is away may still write to the slot, after what the sequence holds; whoever gets the
        # slot next is prefilled after that call. What failed is not to be the beginning of another.
        self._slots.release(sequence.id, keep=sequence.state is not SequenceState.FAILED)

    def _check_lease(self) -> None:
        """A new claim empties the pool: whatever lay in the old one must be fed again before it."""
        if self._lease.held:
            return
        self._slots.clear_cache()
        if self._slots.in_use:
            raise StateLostError("the pool has to be claimed anew")

    def _take(self, sequence: TokenSequence, prompt: Ids) -> CachedPrefix:
        blocks = self._pool.blocks_for(sequence.length)
        return self._slots.take(sequence.id, blocks, lambda: sequence.computed_ids, prompt)

    async def _copy_beginnings(self) -> None:
        while self._copies:
            await self._move([self._copies.pop(0)])

    async def _call(self, batch: Batch, stable: bool) -> dict[str, SampledTokens]:
        """By owner."""
        if not batch.decoding:
            return await self._prefill(batch)
        if stable and (drafts := self._drafts(batch)):
            return await self._check(batch, drafts)
        return await self._decode(batch, self._steps.units(self._pool.max_steps) if stable else 1)

    async def _prefill(self, batch: Batch) -> dict[str, SampledTokens]:
        for row in batch.rows:
            if row.sequence.id not in self._slots:
                # Its state was lost, as all there was to share.
                assert row.sequence.computed == 0, "a sequence with state has a slot"
                self._take(row.sequence, ())
        await self._arrange()
        rows = (batch := batch.running).rows
        if not rows:
            return {}
        sequences = [row.sequence for row in rows]
        due = {row.sequence.id for row in rows if row.samples}
        with self._prompt_tokens.timed(batch.padded_tokens):
            inputs = pool_calls.prefill(batch, self._slots_of(sequences))
            outputs = await self._lease.call(names.PREFILL_SIGNATURE, inputs)
        sampled = sampling_inputs.parse_outputs(outputs, sequences, range(len(rows)), (len(rows), 1))
        return {
            owner: given for owner, given in zip(batch.sequence_ids, sampled, strict=True) if owner in due
        }

    async def _decode(self, batch: Batch, most: int) -> dict[str, SampledTokens]:
        """Up to `most` steps in one call."""
        while most > 1 and not self._fits(batch, most):
            most //= 2
        batch, steps = await self._made_room(batch, most), most
        if not batch.rows:
            return {}
        sequences = [row.sequence for row in batch.rows]
        table = pool_calls.SlotRows(self._slots_of(sequences), self._slots.rows)
        budgets = [min(steps, sequence.token_budget) for sequence in sequences]
        with self._steps.timed(steps):
            inputs = pool_calls.decode(batch.rows, budgets, table, steps)
            outputs = await self._lease.call(names.DECODE_SIGNATURE, inputs)
        sampled = sampling_inputs.parse_outputs(outputs, sequences, table.slots, (table.rows, steps))
        return dict(zip(batch.sequence_ids, sampled, strict=True))

    def _drafts(self, batch: Batch) -> Drafts | None:
        drafts = self._speculation.plan([row.sequence for row in batch.rows])
        return drafts if drafts and self._fits(batch, drafts.width) else None

    async def _check(self, batch: Batch, drafts: Drafts) -> dict[str, SampledTokens]:
        """What of `drafts` the model would have said too, and one token more."""
        batch = await self._made_room(batch, drafts.width)
        if not batch.rows:
            return {}
        sequences = [row.sequence for row in batch.rows]
        drafts = drafts.of(batch.sequence_ids)
        with self._speculation.timed(drafts):
            inputs = pool_calls.check(sequences, drafts.rows, self._slots_of(sequences))
            outputs = await self._lease.call(names.PREFILL_SIGNATURE, inputs)
        shape = (len(sequences), drafts.width)
        sampled = sampling_inputs.parse_outputs(outputs, sequences, range(len(sequences)), shape)
        return {
            sequence.id: self._speculation.agreed(sequence, draft, given)
            for sequence, draft, given in zip(sequences, drafts.rows, sampled, strict=True)
        }

    def _slots_of(self, sequences: list[TokenSequence]) -> list[int]:
        return [self._slots[sequence.id] for sequence in sequences]

    def _fits(self, batch: Batch, steps: int) -> bool:
        """Whether there are blocks for so many steps; there always are for one."""
        return self._slots.layout.fits(self._blocks_after(row, steps) for row in batch.rows)

    def _blocks_after(self, row: BatchRow, steps: int) -> int:
        return self._pool.blocks_for(row.sequence.computed + min(steps, row.sequence.remaining))

    async def _made_room(self, batch: Batch, steps: int) -> Batch:
        """The rows that are left once each has blocks for `steps`: some may go while slots are moved."""
        for row in batch.rows:
            self._slots.require_blocks(row.sequence.id, self._blocks_after(row, steps))
        await self._arrange()
        return batch.running

    async def _arrange(self) -> None:
        if moves := self._slots.arrange():
            await self._move(moves)

    async def _move(self, moves: list[Move]) -> None:
        await self._lease.call(names.MOVE_SIGNATURE, pool_calls.move(moves))
