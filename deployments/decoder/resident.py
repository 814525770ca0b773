"""The resident layout: state stays in the model server's pool, and tokens are sampled in the graph.

Here is only which slot belongs to whom; the sequences' tokens are the truth, from which slots can be filled
again. One call at a time: prefill and decode of a pool never overlap.
"""

import asyncio
from collections.abc import Sequence as Rows

import numpy as np
import numpy.typing as npt

from contract import names
from contract.manifest import Pool
from contract.tensors import Array
from deployments.decoder import sampling_inputs
from deployments.decoder.engine import NOTHING, NoTokenError, Sampled, StateLostError
from deployments.decoder.lease import Lease
from deployments.decoder.model_servers import Tensors
from deployments.decoder.pace import Pace
from deployments.decoder.prefixes import Ids
from deployments.decoder.scheduler import Batch, Row
from deployments.decoder.sequence import Sequence, State
from deployments.decoder.slots import Beginning, Move, SlotTable

NO_STOP = -1
"""Fills up a row's stop tokens."""

FIRST_PROMPT_TOKENS = 128
"""How many are taken to fill the interval before anything was measured."""


class ResidentEngine:
    """Drives one pool."""

    def __init__(self, pool: Pool, slots: SlotTable, lease: Lease, interval_s: float) -> None:
        """`interval_s`: how long one call may take while streams have to move."""
        self._pool = pool
        self._slots = slots
        self._lease = lease
        self._steps = Pace(interval_s)
        self._prompt_tokens = Pace(interval_s, first=FIRST_PROMPT_TOKENS)
        self._copies: list[Move] = []
        """Beginnings of new sequences that lie in other slots, to be made one after the other."""
        self._one_call = asyncio.Lock()

    @property
    def parallel(self) -> int:
        return 1

    @property
    def held(self) -> int:
        return len(self._slots)

    @property
    def prefill_tokens(self) -> int:
        return self._prompt_tokens.units(self._pool.positions)

    def admit(self, sequence: Sequence) -> int:
        beginning = self._take(sequence, sequence.ids)
        if beginning.copy is not None:
            self._copies.append(beginning.copy)
        return beginning.cached

    async def run(self, batch: Batch, stable: bool) -> Rows[Sampled]:
        async with self._one_call:
            # Sequences may have been dropped while another call was away.
            running = batch.running
            if not running.rows:
                return [NOTHING] * len(batch.rows)
            try:
                self._check_lease()
                sampled = await self._call(running, stable)
            except StateLostError:
                self._slots.clear()
                self._copies.clear()
                raise
            except NoTokenError:
                if len(running.rows) == 1:
                    # What is not a number stays so behind a mask: nobody may get the slot as it is.
                    self._lease.give_up()
                raise
        return [sampled.get(owner, NOTHING) for owner in batch.owners]

    def drop(self, sequence: Sequence) -> None:
        # A call that is away may still write to the slot, after what the sequence holds; whoever gets the
        # slot next is prefilled after that call. What failed is not to be the beginning of another.
        self._slots.release(sequence.id, keep=sequence.state is not State.FAILED)

    def _check_lease(self) -> None:
        """A new claim empties the pool: whatever lay in the old one must be fed again before it."""
        if self._lease.held:
            return
        self._slots.forget_kept()
        if self._slots.in_use:
            raise StateLostError("the pool has to be claimed anew")

    def _take(self, sequence: Sequence, prompt: Ids) -> Beginning:
        blocks = self._pool.blocks_for(sequence.length)
        return self._slots.take(sequence.id, blocks, lambda: sequence.held_ids, prompt)

    async def _call(self, batch: Batch, stable: bool) -> dict[str, Sampled]:
        """By owner."""
        while self._copies:
            await self._move([self._copies.pop(0)])
        if batch.rows[0].sequence.state is State.PREFILLING:
            return await self._prefill(batch)
        steps = self._room_for(batch, self._steps.units(self._pool.max_steps) if stable else 1)
        for row in batch.rows:
            self._slots.need(row.sequence.id, self._blocks_after(row, steps))
        await self._arrange()
        # Moving takes calls, while which more may have been dropped.
        batch = batch.running
        return await self._decode(batch, steps) if batch.rows else {}

    async def _prefill(self, batch: Batch) -> dict[str, Sampled]:
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
        inputs = {
            names.TOKENS: batch.tokens,
            names.LENGTHS: np.array(batch.counts, np.int32),
            names.SLOTS: np.array([self._slots[row.sequence.id] for row in rows], np.int32),
            names.STARTS: np.array([row.sequence.computed for row in rows], np.int32),
            **sampling_inputs.of_rows(sequences, steps=1),
            **sampling_inputs.of_call(sequences),
        }
        due = {row.sequence.id for row in rows if row.due}
        with self._prompt_tokens.timed(batch.padded_tokens):
            outputs = await self._lease.call(names.PREFILL_SIGNATURE, inputs)
        sampled = sampling_inputs.read(outputs, sequences, range(len(rows)), (len(rows), 1))
        return {owner: given for owner, given in zip(batch.owners, sampled, strict=True) if owner in due}

    async def _decode(self, batch: Batch, steps: int) -> dict[str, Sampled]:
        budgets = [min(steps, row.sequence.ahead) for row in batch.rows]
        table = _RowTable([self._slots[row.sequence.id] for row in batch.rows], self._slots.rows)
        with self._steps.timed(steps):
            inputs = _decode_inputs(batch.rows, budgets, table, steps)
            outputs = await self._lease.call(names.DECODE_SIGNATURE, inputs)
        sequences = [row.sequence for row in batch.rows]
        sampled = sampling_inputs.read(outputs, sequences, table.slots, (table.rows, steps))
        return dict(zip(batch.owners, sampled, strict=True))

    def _room_for(self, batch: Batch, steps: int) -> int:
        """As many steps as there are blocks for, up to `steps`; there are always enough for one."""
        while steps > 1 and not self._slots.ladder.fits(self._blocks_after(row, steps) for row in batch.rows):
            steps //= 2
        return steps

    def _blocks_after(self, row: Row, steps: int) -> int:
        return self._pool.blocks_for(row.sequence.computed + min(steps, row.sequence.remaining))

    async def _arrange(self) -> None:
        if moves := self._slots.arrange():
            await self._move(moves)

    async def _move(self, moves: list[Move]) -> None:
        columns = {
            names.SOURCES: [move.source for move in moves],
            names.TARGETS: [move.target for move in moves],
            names.BLOCKS: [move.blocks for move in moves],
        }
        await self._lease.call(
            names.MOVE_SIGNATURE, {name: np.array(column, np.int32) for name, column in columns.items()}
        )


class _RowTable:
    """A batch's rows among all the rows that a decode call spans."""

    def __init__(self, slots: list[int], rows: int) -> None:
        self.rows = rows
        self.slots = slots

    def spread(self, values: Array, fill: float) -> Array:
        """`values` (batch, ...) at their slots' places: (rows, ...), `fill` elsewhere."""
        spread = np.full((self.rows, *values.shape[1:]), fill, values.dtype)
        spread[self.slots] = values
        return spread


def _decode_inputs(rows: Rows[Row], budgets: list[int], table: _RowTable, steps: int) -> Tensors:
    sequences = [row.sequence for row in rows]
    tokens = [row.sequence.next_tokens(1)[0] for row in rows]
    inputs = {
        names.TOKENS: np.array(tokens, np.int32),
        names.POSITIONS: np.array([sequence.computed for sequence in sequences], np.int32),
        names.BUDGET: np.array(budgets, np.int32),
        names.STOP_TOKENS: _stop_tokens(sequences),
        **sampling_inputs.of_rows(sequences, steps),
    }
    fills = {names.STOP_TOKENS: NO_STOP, **sampling_inputs.FILLS}
    spread = {name: table.spread(value, fills.get(name, 0)) for name, value in inputs.items()}
    return spread | sampling_inputs.of_call(sequences)


def _stop_tokens(sequences: list[Sequence]) -> npt.NDArray[np.int32]:
    """(rows, most), filled up with NO_STOP."""
    most = max(1, *(len(sequence.eos) for sequence in sequences))
    stops = np.full((len(sequences), most), NO_STOP, np.int32)
    for row, sequence in zip(stops, sequences, strict=True):
        row[: len(sequence.eos)] = sorted(sequence.eos)
    return stops
