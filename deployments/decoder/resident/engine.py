"""The engine for resident state: the state stays in the model server's pool.

Tokens are sampled in the graph. The engine keeps only which sequence owns which slot; a slot can be filled
again from the token ids of its sequence. Calls run one at a time, because `prefill` and `decode` of a pool
must not overlap.
"""

import asyncio
import time
from collections.abc import Sequence

from contract import names
from contract.manifest import Pool
from deployments.decoder.calls import sampling_inputs
from deployments.decoder.engine import NO_TOKENS, NoTokenError, SampledTokens, StateLostError
from deployments.decoder.pace import CallCost, PrefillPace, chunk_interval_s
from deployments.decoder.resident import pool_calls
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.slots import CachedPrefix, Move, SlotTable
from deployments.decoder.resident.speculation import Drafts, Speculation
from deployments.decoder.scheduler import Batch, BatchRow
from deployments.decoder.sequence import SequenceState, TokenIds, TokenSequence

INITIAL_PROMPT_TOKENS = 128
"""How many prompt tokens are assumed to fill the interval before the first measurement."""


class ResidentEngine:
    """Drives the pool of one model server."""

    def __init__(
        self, pool: Pool, slots: SlotTable, lease: Lease, interval_s: float, draft_tokens: int = 0
    ) -> None:
        """`interval_s`: how long a call may take where it can; `draft_tokens`: the longest draft, 0: none."""
        self._pool = pool
        self._slots = slots
        self._lease = lease
        self._interval_s = interval_s
        self._step_cost = CallCost(interval_s)
        self._prefill_pace = PrefillPace(interval_s, CallCost(interval_s / INITIAL_PROMPT_TOKENS))
        self._speculation = Speculation(draft_tokens, self._step_cost, self._prefill_pace.cost)
        self._prefix_copies: list[Move] = []
        """Copies of cached prefixes for new sequences, to be made one by one before the next call."""
        self._one_call = asyncio.Lock()

    @property
    def parallel_calls(self) -> int:
        """One: `prefill` and `decode` of a pool must not overlap."""
        return 1

    @property
    def held(self) -> int:
        """Sequences that own a slot."""
        return len(self._slots)

    def prefill_tokens(self, prefilling: int, decoding: int) -> int:
        """Returns as many prompt tokens as the pace of the prompts allows."""
        return self._prefill_pace.tokens(prefilling, decoding)

    def admit(self, sequence: TokenSequence) -> int:
        """Takes a slot; returns how many token ids a cached prefix in it covers."""
        prefix = self._take_slot(sequence, sequence.ids)
        if prefix.copy is not None:
            self._prefix_copies.append(prefix.copy)
        return prefix.length

    async def run(self, batch: Batch, stable: bool) -> Sequence[SampledTokens]:
        """Copies cached prefixes, then runs `prefill`, `decode`, or a `prefill` that verifies drafts."""
        async with self._one_call:
            try:
                self._check_lease()
                await self._copy_prefixes()
                # Sequences may have been dropped while other calls ran.
                running = batch.running
                sampled = await self._call(running, stable) if running.rows else {}
            except StateLostError:
                self._slots.clear()
                self._prefix_copies.clear()
                raise
            except NoTokenError:
                if len(running.rows) == 1:
                    # NaN spreads even from masked positions, so the slot must not be reused as it is.
                    self._lease.give_up()
                raise
        return [sampled.get(sequence_id, NO_TOKENS) for sequence_id in batch.sequence_ids]

    def audit(self) -> None:
        """Asserts that the slot table is consistent."""
        self._slots.audit()

    def drop(self, sequence: TokenSequence) -> None:
        """Frees the slot of `sequence`; its token ids stay in the prefix cache unless it failed."""
        # A call that still runs may write to the slot, but only after the computed tokens. The next owner is
        # prefilled after that call. The state of a failed sequence must not be reused.
        self._slots.release(sequence.id, cache=sequence.state is not SequenceState.FAILED)

    def _check_lease(self) -> None:
        """Raises StateLostError if sequences have state in a pool that is lost: a new claim starts empty."""
        if self._lease.held:
            return
        self._slots.clear_cache()
        if self._slots.has_computed:
            raise StateLostError("the pool has to be claimed again")

    def _take_slot(self, sequence: TokenSequence, prompt: TokenIds) -> CachedPrefix:
        blocks = self._pool.blocks_for(sequence.length)
        return self._slots.take(sequence.id, blocks, lambda: sequence.computed_ids, prompt)

    async def _copy_prefixes(self) -> None:
        while self._prefix_copies:
            await self._move([self._prefix_copies.pop(0)])

    async def _call(self, batch: Batch, stable: bool) -> dict[str, SampledTokens]:
        """Runs one call; returns the new tokens by sequence id."""
        if not batch.decoding:
            return await self._prefill(batch)
        if stable and (drafts := self._drafts(batch)):
            return await self._verify(batch, drafts)
        return await self._decode(batch, self._steps(len(batch.rows)) if stable else 1)

    def _steps(self, rows: int) -> int:
        """How many decode steps of `rows` rows a call runs: its tokens reach the clients together."""
        steps = self._step_cost.units_within(chunk_interval_s(self._interval_s, rows))
        return max(1, min(steps, self._pool.max_steps))

    async def _prefill(self, batch: Batch) -> dict[str, SampledTokens]:
        for row in batch.rows:
            if row.sequence.id not in self._slots:
                # Its slot was lost, together with all cached prefixes.
                assert row.sequence.computed == 0, "a sequence with state has a slot"
                self._take_slot(row.sequence, ())
        await self._arrange()
        rows = (batch := batch.running).rows
        if not rows:
            return {}
        sequences = [row.sequence for row in rows]
        samples = [row.samples for row in rows]
        inputs = pool_calls.prefill(batch, self._slots_of(sequences))
        start = time.perf_counter()
        outputs = await self._lease.call(names.PREFILL_SIGNATURE, inputs)
        self._prefill_pace.record_piece(batch.padded_tokens, time.perf_counter() - start)
        sampled = sampling_inputs.parse_outputs(outputs, sequences, range(len(rows)), (len(rows), 1))
        results = zip(batch.sequence_ids, sampled, samples, strict=True)
        return {sequence_id: tokens for sequence_id, tokens, is_sampled in results if is_sampled}

    async def _decode(self, batch: Batch, max_steps: int) -> dict[str, SampledTokens]:
        """Runs up to `max_steps` steps in one call, as many as there are blocks for."""
        steps = max_steps
        while steps > 1 and not self._blocks_suffice(batch, steps):
            steps //= 2
        batch = await self._reserve_blocks(batch, steps)
        if not batch.rows:
            return {}
        sequences = [row.sequence for row in batch.rows]
        slot_rows = pool_calls.SlotRows(self._slots_of(sequences))
        budgets = [min(steps, sequence.token_budget) for sequence in sequences]
        inputs = pool_calls.decode(batch.rows, budgets, slot_rows, steps)
        start = time.perf_counter()
        outputs = await self._lease.call(names.DECODE_SIGNATURE, inputs)
        self._record_decode(steps, time.perf_counter() - start)
        shape = (slot_rows.count, steps)
        sampled = sampling_inputs.parse_outputs(outputs, sequences, slot_rows.slots, shape)
        return dict(zip(batch.sequence_ids, sampled, strict=True))

    def _record_decode(self, steps: int, seconds: float) -> None:
        self._step_cost.record(steps, seconds)
        self._prefill_pace.record_decode(seconds)

    def _drafts(self, batch: Batch) -> Drafts | None:
        drafts = self._speculation.plan([row.sequence for row in batch.rows])
        return drafts if drafts and self._blocks_suffice(batch, drafts.width) else None

    async def _verify(self, batch: Batch, drafts: Drafts) -> dict[str, SampledTokens]:
        """Checks all drafts in one `prefill` call; returns what was accepted and one more token per row."""
        batch = await self._reserve_blocks(batch, drafts.width)
        if not batch.rows:
            return {}
        sequences = [row.sequence for row in batch.rows]
        drafts = drafts.select(batch.sequence_ids)
        inputs = pool_calls.verify(sequences, drafts.rows, self._slots_of(sequences))
        start = time.perf_counter()
        outputs = await self._lease.call(names.PREFILL_SIGNATURE, inputs)
        self._speculation.record(drafts, time.perf_counter() - start)
        shape = (len(sequences), drafts.width)
        sampled = sampling_inputs.parse_outputs(outputs, sequences, range(len(sequences)), shape)
        return {
            sequence.id: self._speculation.accept(sequence, draft, tokens)
            for sequence, draft, tokens in zip(sequences, drafts.rows, sampled, strict=True)
        }

    def _slots_of(self, sequences: list[TokenSequence]) -> list[int]:
        return [self._slots[sequence.id] for sequence in sequences]

    def _blocks_suffice(self, batch: Batch, steps: int) -> bool:
        """Whether there are blocks for `steps` steps; for one step there always are."""
        return self._slots.layout.fits(self._blocks_after(row, steps) for row in batch.rows)

    def _blocks_after(self, row: BatchRow, steps: int) -> int:
        return self._pool.blocks_for(row.sequence.computed + min(steps, row.sequence.remaining))

    async def _reserve_blocks(self, batch: Batch, steps: int) -> Batch:
        """Gives each row blocks for `steps` steps; returns the rows not cancelled while slots were moved."""
        for row in batch.rows:
            self._slots.require_blocks(row.sequence.id, self._blocks_after(row, steps))
        await self._arrange()
        return batch.running

    async def _arrange(self) -> None:
        if moves := self._slots.arrange():
            await self._move(moves)

    async def _move(self, moves: list[Move]) -> None:
        await self._lease.call(names.MOVE_SIGNATURE, pool_calls.move(moves))
