"""The engine for resident state: the state stays in the model server's pool.

Tokens are sampled in the graph. The engine keeps only which sequence owns which slot; a slot can be filled
again from the token ids of its sequence. Calls run one at a time, because the calls of a pool must not
overlap; only `decode` calls may be sent before the one before them has ended (`decoding.py`).
"""

import asyncio
import time
from collections.abc import Sequence

from contract import names
from contract.manifest import Pool
from deployments.decoder.calls import sampling_inputs
from deployments.decoder.engine import NO_TOKENS, DraftCounts, NoTokenError, SampledTokens, StateLostError
from deployments.decoder.pace import CallCost, PrefillPace, chunk_interval_s
from deployments.decoder.resident import pool_calls
from deployments.decoder.resident.decoding import Decoding
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.model_speculation import DraftSource, ModelSpeculation
from deployments.decoder.resident.placement import Placement
from deployments.decoder.resident.slots import SlotTable
from deployments.decoder.resident.speculation import Drafts, Speculation, accepted
from deployments.decoder.scheduler import Batch
from deployments.decoder.sequence import TokenSequence

INITIAL_PROMPT_TOKENS = 128
"""How many prompt tokens are assumed to fill the interval before the first measurement."""

TILE = 32
"""Products compute rows in tiles of this size: 129 tokens take a quarter longer than 128."""


class ResidentEngine:
    """Drives the pool of one model server."""

    def __init__(
        self,
        pool: Pool,
        slots: SlotTable,
        lease: Lease,
        interval_s: float,
        draft_tokens: int = 0,
        draft_model: DraftSource | None = None,
    ) -> None:
        """`interval_s`: how long a call may take where it can; `draft_tokens`: the longest draft, 0: none."""
        self._max_steps = pool.max_steps
        self._lease = lease
        self._placement = Placement(pool, slots, lease)
        self._decoding = Decoding(self._placement, lease)
        self._interval_s = interval_s
        self._step_cost = CallCost(interval_s)
        self._prefill_pace = PrefillPace(interval_s, CallCost(interval_s / INITIAL_PROMPT_TOKENS))
        self._speculation = Speculation(draft_tokens, self._step_cost, self._prefill_pace.cost)
        self._model_speculation: ModelSpeculation | None = None
        if draft_model is not None:
            self._model_speculation = ModelSpeculation(draft_model, draft_tokens, self._speculation)
        self._one_call = asyncio.Lock()

    @property
    def parallel_calls(self) -> int:
        """One: the calls of a pool must not overlap."""
        return 1

    @property
    def held(self) -> int:
        """Sequences that own a slot."""
        return len(self._placement)

    @property
    def draft_counts(self) -> DraftCounts:
        """The tokens of its draft model so far; zeros without one."""
        return DraftCounts() if self._model_speculation is None else self._model_speculation.counts

    def prefill_tokens(self, prefilling: int, decoding: int) -> int:
        """Returns as many prompt tokens as the pace of the prompts allows, and some more to fill a tile."""
        tokens = self._prefill_pace.tokens(prefilling, decoding)
        return tokens and tokens + -(tokens + decoding) % TILE

    def admit(self, sequence: TokenSequence) -> int:
        """Takes a slot; returns how many token ids a cached prefix in it covers."""
        return self._placement.admit(sequence)

    async def run(self, batch: Batch, stable: bool) -> Sequence[SampledTokens | None]:
        """Runs `prefill` with or without a decode step, `decode`, or a `prefill` that verifies drafts."""
        async with self._one_call:
            try:
                await self._placement.ensure_pool()
                # Sequences may have been dropped while other calls ran.
                running = batch.running
                sampled = await self._call(running, stable) if running.rows else {}
            except StateLostError:
                await self._decoding.discard()
                self._placement.clear()
                raise
            except NoTokenError:
                await self._decoding.discard()
                if len(running.rows) == 1:
                    # NaN spreads even from masked positions, so the slot must not be reused as it is.
                    self._lease.give_up()
                raise
        return [sampled.get(sequence_id) for sequence_id in batch.sequence_ids]

    def audit(self) -> None:
        """Asserts that the slot table is consistent."""
        self._placement.audit()
        if self._model_speculation is not None:
            self._model_speculation.audit()

    def drop(self, sequence: TokenSequence) -> None:
        """Frees the slot of `sequence`; its token ids stay in the prefix cache unless it failed."""
        self._placement.drop(sequence)
        if self._model_speculation is not None:
            self._model_speculation.drop(sequence)

    async def _call(self, batch: Batch, stable: bool) -> dict[str, SampledTokens]:
        """Runs one call; returns the new tokens by sequence id."""
        if not batch.decoding:
            decoded = batch.decoded
            if decoded.rows and self._decoding.ahead:
                # Their last tokens are not known yet. The prompts come with the next call.
                return await self._decode(decoded, stable=False, plain=True)
            return await self._prefill(batch)
        looked_up = self._looked_up(batch) if stable else None
        length = self._draft_length(batch, looked_up) if stable else 0
        if not self._decoding.ahead:
            drafts = (await self._model_drafts(batch, length) if length else None) or looked_up
            if drafts is not None:
                return await self._verify(batch.running, drafts)
        return await self._decode(batch, stable, plain=looked_up is None and not length)

    async def _prefill(self, batch: Batch) -> dict[str, SampledTokens]:
        """Computes pieces of prompts; in the same call, one step of the rows that decode."""
        await self._decoding.wait()
        for row in batch.running.rows:
            self._placement.ensure_slot(row.sequence)
        await self._placement.reserve_blocks(batch.running.decoded, 1)
        # Sequences may have been cancelled while slots were moved.
        batch = batch.running
        prompts, decoded = batch.prompts, batch.decoded
        if not prompts.rows:
            return {}
        slots_of = self._placement.slots_of
        call = pool_calls.PrefillCall(
            decoded.sequences, slots_of(decoded.sequences), prompts, slots_of(prompts.sequences)
        )
        start_s = time.perf_counter()
        outputs = await self._lease.call(names.PREFILL_SIGNATURE, call.inputs())
        seconds = time.perf_counter() - start_s
        self._prefill_pace.record_piece(prompts.computed_tokens, seconds, bool(decoded.rows))
        sequences = call.sequences
        sampled = sampling_inputs.parse_outputs(outputs, sequences, call.rows, (call.count, 1))
        unfinished = {row.sequence.id for row in prompts.rows if not row.samples}
        return {
            sequence.id: NO_TOKENS if sequence.id in unfinished else tokens
            for sequence, tokens in zip(sequences, sampled, strict=True)
        }

    async def _decode(self, batch: Batch, stable: bool, plain: bool) -> dict[str, SampledTokens]:
        """Runs one decode call; if it is `plain`, no drafts are expected to pay for its rows."""
        follow = stable and plain and all(_continues(row.sequence) for row in batch.rows)
        steps = self._steps(len(batch.rows), calls=2 if follow else 1) if stable else 1
        sampled = await self._decoding.run(batch, steps, follow)
        if longest := max((len(tokens.ids) for tokens in sampled.values()), default=0):
            self._step_cost.record(longest, self._decoding.last_call_s)
            self._prefill_pace.record_decode(self._decoding.last_call_s, longest)
        return sampled

    def _steps(self, rows: int, calls: int) -> int:
        """How many steps of `rows` rows a call runs, if the tokens of `calls` calls leave together."""
        steps = self._step_cost.units_within(chunk_interval_s(self._interval_s, rows) / calls)
        return max(1, min(steps, self._max_steps))

    def _looked_up(self, batch: Batch) -> Drafts | None:
        """Drafts by prompt lookup, if they are expected to be faster than steps."""
        drafts = self._speculation.plan(batch.sequences)
        return drafts if drafts and self._placement.blocks_suffice(batch, drafts.width) else None

    def _draft_length(self, batch: Batch, looked_up: Drafts | None) -> int:
        """How many tokens the draft model should draft, if that is expected to be faster; else 0."""
        if self._model_speculation is None:
            return 0
        otherwise = self._speculation.tokens_per_s(batch.sequences, looked_up)
        length = self._model_speculation.plan(batch.sequences, otherwise)
        return length if self._placement.blocks_suffice(batch, 1 + length) else 0

    async def _model_drafts(self, batch: Batch, length: int) -> Drafts | None:
        assert self._model_speculation is not None, "a length is planned for a draft model only"
        return await self._model_speculation.draft(batch.sequences, length)

    async def _verify(self, batch: Batch, drafts: Drafts) -> dict[str, SampledTokens]:
        """Checks all drafts in one `prefill` call; returns what was accepted and one more token per row."""
        batch = await self._placement.reserve_blocks(batch, drafts.width)
        if not batch.rows:
            return {}
        sequences = batch.sequences
        drafts = drafts.select(batch.sequence_ids)
        inputs = pool_calls.verify(sequences, drafts.rows, self._placement.slots_of(sequences))
        start_s = time.perf_counter()
        outputs = await self._lease.call(names.PREFILL_SIGNATURE, inputs)
        seconds = time.perf_counter() - start_s
        shape = (len(sequences), drafts.width)
        sampled = sampling_inputs.parse_outputs(outputs, sequences, range(len(sequences)), shape)
        kept = [accepted(draft, tokens) for draft, tokens in zip(drafts.rows, sampled, strict=True)]
        self._record_drafts(sequences, drafts, [len(tokens.ids) - 1 for tokens in kept], seconds)
        return {sequence.id: tokens for sequence, tokens in zip(sequences, kept, strict=True)}

    def _record_drafts(
        self, sequences: list[TokenSequence], drafts: Drafts, counts: list[int], seconds: float
    ) -> None:
        """Learns from a call that took `seconds` seconds and accepted `counts` tokens of the drafts."""
        model = None if drafts.looked_up else self._model_speculation
        if model is None:
            self._speculation.record(drafts, seconds)
        elif drafts.width > 1:
            model.record_call(drafts, sum(counts), seconds)
        for sequence, draft, count in zip(sequences, drafts.rows, counts, strict=True):
            if draft and model is None:
                self._speculation.record_accepted(sequence, len(draft), count)
            elif draft and model is not None:
                model.record(len(draft), count)


def _continues(sequence: TokenSequence) -> bool:
    """Whether the inputs of its next call can be made before the tokens of the last one are known."""
    return sequence.edits is None and sequence.mask is None
