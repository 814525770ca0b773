"""A draft model: a small servable with resident state that drafts what the served one will sample.

It has a pool of its own, with a copy of each sequence that it follows. A copy holds the sequence's token ids
and, after them, the drafted ones; where the sequence went another way, the copy goes back to where they part.
Whatever fails here costs drafts only.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from contract import names
from contract.manifest import Pool
from deployments.decoder.calls import sampling_inputs
from deployments.decoder.engine import StateLostError, StepRejectedError
from deployments.decoder.pace import CallCost
from deployments.decoder.resident import pool_calls
from deployments.decoder.resident.admission import BlockAdmission
from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.placement import Placement
from deployments.decoder.resident.slots import SlotTable
from deployments.decoder.scheduler import MAX_PADDED_TOKENS, Batch, BatchRow
from deployments.decoder.sequence import Event, TokenSequence, common_prefix_length
from deployments.decoder.servers.model_servers import ModelServers, Tensors
from deployments.errors import ModelServerUnavailable

log = logging.getLogger(__name__)

MAX_CALL_TOKENS = 512
"""Tokens that one call brings the copies up to date by; a longer prompt takes several calls of `draft`."""
RETRY_S = 2.0
"""Seconds between a failure and the next attempt to claim a pool."""
_ASSUMED_UNIT_S = 1e-4
"""Seconds of a decode step or of a prompt token, before the first measurement."""
_FAILURES = (StateLostError, StepRejectedError, ModelServerUnavailable)

DraftedTokens: TypeAlias = Mapping[str, tuple[int, ...]]
"""Drafted token ids by sequence id."""


class DraftModel:
    """Drafts the next tokens of sequences. Its calls run one at a time."""

    def __init__(self, name: str, pool: Pool, layout: BlockLayout, servers: ModelServers) -> None:
        """`name`: for the log."""
        self._name = name
        self._pool = pool
        self._layout = layout
        self._servers = servers
        self._slots = SlotTable(layout, pool.block_size)
        self._lease = Lease(servers, layout.slots)
        self._placement = Placement(pool, self._slots, self._lease)
        self._admission = BlockAdmission(pool, layout)
        self._copies: dict[str, TokenSequence] = {}
        """By sequence id. All are PREFILLING: drafted tokens are computed like known ones."""
        self._prefill_cost = CallCost(_ASSUMED_UNIT_S)
        self._decode_cost = CallCost(_ASSUMED_UNIT_S)
        self._opening: asyncio.Task[None] | None = None
        """Claims the pool and makes the first calls, which take long, beside the decode loop."""
        self._failing = False
        """Whether a failure was logged since the last success."""
        self._retry_at_s = 0.0
        """When a pool may be claimed after a failure."""

    def __len__(self) -> int:
        """Number of sequences that are followed."""
        return len(self._copies)

    @property
    def max_tokens(self) -> int:
        """Tokens in a draft, at most: the first comes with the prompt, the others from one `decode` call."""
        return 1 + self._pool.max_steps

    def ready(self) -> bool:
        """Returns whether it can draft now; else begins to claim a pool, if its model server answers."""
        if self._opening is not None or not self._servers.available:
            return False
        if not self._lease.held and time.monotonic() >= self._retry_at_s:
            self._opening = asyncio.create_task(self._open())
            return False
        return self._lease.held

    def lacks(self, sequence: TokenSequence) -> int:
        """Returns how many token ids of `sequence` are not in the pool."""
        copy = self._copies.get(sequence.id)
        return sequence.length - (0 if copy is None else _held(copy, sequence))

    def prefill_s(self, tokens: int) -> float:
        """Returns the seconds that a call for `tokens` tokens of a prompt is expected to take."""
        return self._prefill_cost.expected_s(tokens)

    def decode_s(self, steps: int) -> float:
        """Returns the seconds that a call of `steps` decode steps is expected to take; 0 for no step."""
        return self._decode_cost.expected_s(steps) if steps else 0.0

    async def draft(self, sequences: Sequence[TokenSequence], count: int) -> DraftedTokens | None:
        """Returns up to `count` tokens for each sequence that the pool has caught up with.

        Returns None if a call fails, or if the pool has no room for any of them. Expects that it is `ready`,
        and that `count` is at most `max_tokens`.
        """
        try:
            return await self._draft(sequences, count)
        except _FAILURES as error:
            self._fail(error)
            return None

    def drop(self, sequence: TokenSequence) -> None:
        """Forgets `sequence`, if it is followed."""
        if copy := self._copies.pop(sequence.id, None):
            self._placement.drop(copy)

    def audit(self) -> None:
        """Asserts that slots are held by the copies alone."""
        self._placement.audit()
        assert len(self._placement) == len(self._copies), "a slot is held without a copy, or the other way"

    async def _open(self) -> None:
        """Claims a pool, and has the model server compute the calls that `draft` makes."""
        try:
            await self._lease.claim()
            trial = TokenSequence("trial", prompt=(0,), max_tokens=3)
            await self._draft([trial], 2)
            self.drop(trial)
            # The first calls of a model server take far longer than all later ones.
            self._prefill_cost, self._decode_cost = CallCost(_ASSUMED_UNIT_S), CallCost(_ASSUMED_UNIT_S)
        except _FAILURES as error:
            self._fail(error)
        else:
            if self._failing:
                log.info("the draft model %s drafts again", self._name)
            self._failing = False
        finally:
            self._opening = None

    def _fail(self, error: Exception) -> None:
        """Forgets all copies; the pool has to be claimed again."""
        if not self._failing:
            log.warning("the draft model %s failed, and is left out until it works: %s", self._name, error)
        self._failing = True
        self._retry_at_s = time.monotonic() + RETRY_S
        self._copies.clear()
        self._placement.clear()
        self._lease.give_up()

    async def _draft(self, sequences: Sequence[TokenSequence], count: int) -> DraftedTokens | None:
        known = {sequence.id: sequence.length for sequence in sequences}
        copies = [copy for sequence in sequences if (copy := self._follow(sequence))]
        rows = self._rows(self._with_room(copies, count))
        if not rows:
            return None
        await self._placement.arrange()
        rows = [row for row in rows if row.sequence.id in self._copies]
        caught_up = [row.sequence for row in rows if row.samples]
        await self._catch_up(rows)
        await self._extend([copy for copy in caught_up if copy.id in self._copies], count - 1)
        return {copy.id: copy.ids[known[copy.id] :] for copy in caught_up if copy.id in self._copies}

    def _follow(self, sequence: TokenSequence) -> TokenSequence | None:
        """Returns the copy of `sequence` without drafted tokens; None if there is no room for one."""
        copy = self._copies.get(sequence.id)
        if copy is None:
            return self._add_copy(sequence)
        # The last token is computed again if it is in the pool, because the next one is sampled after it.
        computed = min(_held(copy, sequence), sequence.length - 1)
        copy.generated[:], copy.computed = sequence.generated, computed
        return copy

    def _add_copy(self, sequence: TokenSequence) -> TokenSequence | None:
        copy = TokenSequence(
            sequence.id,
            sequence.prompt,
            sequence.max_tokens,
            replace(sequence.sampling, logprobs=None),
            sequence.eos,
            generated=list(sequence.generated),
        )
        if not self._admission.can_admit(self._copies.values(), copy):
            return None
        copy.move(Event.ADMIT)
        copy.begin(self._placement.admit(copy))
        self._copies[copy.id] = copy
        return copy

    def _with_room(self, copies: list[TokenSequence], count: int) -> list[TokenSequence]:
        """Records the blocks for `count` drafted tokens each; drops the longest copies that have no room."""
        needs = {copy.id: self._pool.blocks_for(copy.length) for copy in self._copies.values()}
        for copy in copies:
            needs[copy.id] = self._pool.blocks_for(min(copy.length + count, copy.capacity))
        while not self._layout.fits(needs.values()):
            longest = max(needs, key=lambda sequence_id: needs[sequence_id])
            del needs[longest]
            self.drop(self._copies[longest])
        for sequence_id, blocks in needs.items():
            self._slots.require_blocks(sequence_id, blocks)
        return [copy for copy in copies if copy.id in needs]

    def _rows(self, copies: list[TokenSequence]) -> list[BatchRow]:
        """Returns the tokens that one call adds to the copies; those that lack fewest come first."""
        rows, left = [], MAX_CALL_TOKENS
        width = MAX_PADDED_TOKENS // max(1, len(copies))
        for copy in sorted(copies, key=lambda copy: copy.pending):
            if count := min(copy.pending, left, width):
                rows.append(BatchRow(copy, count))
                left -= count
        return rows

    async def _catch_up(self, rows: list[BatchRow]) -> None:
        """Computes the tokens of `rows`; a copy without pending ones then gets its first drafted token."""
        prompts = Batch(tuple(rows))
        if not rows:
            return
        call = pool_calls.PrefillCall([], [], prompts, self._placement.slots_of(prompts.sequences))
        tokens = prompts.computed_tokens
        outputs = await self._timed(names.PREFILL_SIGNATURE, call.inputs(), self._prefill_cost, tokens)
        sampled = sampling_inputs.parse_outputs(outputs, call.sequences, call.rows, (call.count, 1))
        for row, first in zip(rows, sampled, strict=True):
            if row.sequence.feed(row.count):
                row.sequence.generated += first.ids

    async def _extend(self, copies: list[TokenSequence], count: int) -> None:
        """Adds up to `count` tokens to the first drafted one of each copy."""
        # The served model samples one token after the draft.
        budgets = {copy.id: min(count, copy.remaining - 1) for copy in copies}
        going = [
            copy
            for copy in copies
            if budgets[copy.id] > 0 and copy.pending and copy.generated[-1] not in copy.eos
        ]
        if not going:
            return
        slots = self._placement.slots_of(going)
        call = pool_calls.DecodeCall(
            tuple(
                pool_calls.DecodeRow(copy, slot, copy.computed, budgets[copy.id])
                for copy, slot in zip(going, slots, strict=True)
            ),
            count,
        )
        outputs = await self._timed(names.DECODE_SIGNATURE, call.inputs(), self._decode_cost, count)
        sampled = sampling_inputs.parse_outputs(outputs, going, slots, (call.count, count))
        for copy, tokens in zip(going, sampled, strict=True):
            # All but the last are in the pool.
            copy.generated += tokens.ids
            copy.computed = copy.length - 1

    async def _timed(self, signature: str, inputs: Tensors, cost: CallCost, units: int) -> Tensors:
        start_s = time.perf_counter()
        outputs = await self._lease.call(signature, inputs)
        cost.record(units, time.perf_counter() - start_s)
        return outputs


def _held(copy: TokenSequence, sequence: TokenSequence) -> int:
    """How many of the first token ids of `sequence` the slot of its copy holds."""
    shared = len(copy.prompt) + common_prefix_length(copy.generated, sequence.generated)
    return min(copy.computed, shared)
