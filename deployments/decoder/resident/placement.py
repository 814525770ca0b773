"""The slots of a pool: keeps the slot table, and has the model server copy what the table moves."""

from contract import names
from contract.manifest import Pool
from deployments.decoder.engine import StateLostError
from deployments.decoder.resident import pool_calls
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.slots import CachedPrefix, Move, SlotTable
from deployments.decoder.scheduler import Batch, BatchRow
from deployments.decoder.sequence import SequenceState, TokenIds, TokenSequence


class Placement:
    """Which sequence is in which slot. The calls that move slots run while no other call of the pool does."""

    def __init__(self, pool: Pool, slots: SlotTable, lease: Lease) -> None:
        self._pool = pool
        self._slots = slots
        self._lease = lease
        self._prefix_copies: list[Move] = []
        """Copies of cached prefixes for new sequences, to be made one by one before slots are moved."""

    def __len__(self) -> int:
        """Number of sequences that own a slot."""
        return len(self._slots)

    def admit(self, sequence: TokenSequence) -> int:
        """Takes a slot; returns how many token ids a cached prefix in it covers."""
        prefix = self._take(sequence, sequence.ids)
        if prefix.copy is not None:
            self._prefix_copies.append(prefix.copy)
        return prefix.length

    def ensure_slot(self, sequence: TokenSequence) -> None:
        """Takes a slot again if the slot of `sequence` was lost, together with all cached prefixes."""
        if sequence.id not in self._slots:
            assert sequence.computed == 0, "a sequence with state has a slot"
            self._take(sequence, ())

    def drop(self, sequence: TokenSequence) -> None:
        """Frees the slot of `sequence`; its token ids stay in the prefix cache unless it failed."""
        # A call that still runs may write to the slot, but only after the computed tokens. The next owner is
        # prefilled after that call. The state of a failed sequence must not be reused.
        self._slots.release(sequence.id, cache=sequence.state is not SequenceState.FAILED)

    async def ensure_pool(self) -> None:
        """Claims a pool if none is held; raises StateLostError if sequences had state in it."""
        if self._lease.held:
            return
        self._slots.clear_cache()
        if self._slots.has_computed:
            raise StateLostError("the pool has to be claimed again")
        await self._lease.claim()

    def clear(self) -> None:
        """Frees all slots, because the content of the pool is lost."""
        self._slots.clear()
        self._prefix_copies.clear()

    def audit(self) -> None:
        """Asserts that the slot table is consistent."""
        self._slots.audit()

    def slots_of(self, sequences: list[TokenSequence]) -> list[int]:
        """Returns the slot of each of `sequences`."""
        return [self._slots[sequence.id] for sequence in sequences]

    def blocks_suffice(self, batch: Batch, steps: int) -> bool:
        """Returns whether there are blocks for `steps` steps; for one step there always are."""
        return self._slots.layout.fits(self._blocks_after(row, steps) for row in batch.rows)

    async def reserve_blocks(self, batch: Batch, steps: int) -> Batch:
        """Gives each row blocks for `steps` steps; returns the rows not cancelled while slots were moved."""
        for row in batch.rows:
            self._slots.require_blocks(row.sequence.id, self._blocks_after(row, steps))
        await self.arrange()
        return batch.running

    def reserve_in_place(self, sequence: TokenSequence, tokens: int) -> bool:
        """Records that `sequence` needs blocks for `tokens` tokens; returns whether its slot has them."""
        blocks = self._pool.blocks_for(tokens)
        if blocks > self._slots.layout.blocks_per_slot[self._slots[sequence.id]]:
            return False
        self._slots.require_blocks(sequence.id, blocks)
        return True

    async def arrange(self) -> None:
        """Fills new slots with their cached prefixes; then moves slots until all have enough blocks.

        Leaves no holes.
        """
        while self._prefix_copies:
            await self._move([self._prefix_copies.pop(0)])
        if moves := self._slots.arrange():
            await self._move(moves)

    def _take(self, sequence: TokenSequence, prompt: TokenIds) -> CachedPrefix:
        blocks = self._pool.blocks_for(sequence.length)
        return self._slots.take(sequence.id, blocks, lambda: sequence.computed_ids, prompt)

    def _blocks_after(self, row: BatchRow, steps: int) -> int:
        return self._pool.blocks_for(row.sequence.computed + min(steps, row.sequence.remaining))

    async def _move(self, moves: list[Move]) -> None:
        await self._lease.call(names.MOVE_SIGNATURE, pool_calls.move(moves))
