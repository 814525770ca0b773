"""A draft model: a small servable with resident state that guesses what the served one will sample.

It has a pool of its own, with a copy of each sequence that it follows. A copy holds the sequence's token ids
and, after them, the guesses; where the sequence went another way, the copy goes back to where they part.
Whatever fails here costs guesses only.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from contract import names
from contract.manifest import Pool
from deployments.decoder.calls import sampling_inputs
from deployments.decoder.engine import SampledTokens, StateLostError, StepRejectedError
from deployments.decoder.pace import CallCost
from deployments.decoder.resident import pool_calls
from deployments.decoder.resident.admission import BlockAdmission
from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.placement import Placement
from deployments.decoder.resident.slots import SlotTable
from deployments.decoder.scheduler import Batch, BatchRow
from deployments.decoder.sequence import Event, TokenSequence, common_prefix_length
from deployments.decoder.servers.model_servers import ModelServers, Tensors
from deployments.errors import ModelServerUnavailable

log = logging.getLogger(__name__)

MAX_CALL_TOKENS = 512
"""Tokens that one call brings the copies up to date by; a longer prompt takes several rounds of drafts."""
_ASSUMED_UNIT_S = 1e-4
"""Seconds of a decode step or of a prompt token, before the first measurement."""

Guesses: TypeAlias = Mapping[str, tuple[int, ...]]
"""Guessed tokens by sequence id."""


class DraftModel:
    """Drafts the next tokens of sequences. Its calls run one at a time."""

    def __init__(self, pool: Pool, layout: BlockLayout, servers: ModelServers) -> None:
        self._pool = pool
        self._layout = layout
        self._servers = servers
        self._slots = SlotTable(layout, pool.block_size)
        self._lease = Lease(servers, layout.slots)
        self._placement = Placement(pool, self._slots, self._lease)
        self._admission = BlockAdmission(pool, layout)
        self._copies: dict[str, TokenSequence] = {}
        """By sequence id. All are PREFILLING: guessed tokens are computed like known ones."""
        self._measured: dict[str, CallCost] = {}
        """By signature."""
        self._cold: set[str] = set()
        """Signatures not called since the pool was claimed. Their first call is not measured."""

    def __len__(self) -> int:
        """Number of sequences that are followed."""
        return len(self._copies)

    @property
    def available(self) -> bool:
        """Whether its model server answers, as far as is known."""
        return self._servers.available > 0

    def expected_s(self, rows: int, count: int) -> float:
        """Returns the seconds that drafts of `count` tokens for `rows` sequences are expected to take."""
        # A round begins with the token that the served model sampled last, or the last two.
        seconds = self._cost(names.PREFILL_SIGNATURE).expected_s(2 * rows)
        return seconds + (self._cost(names.DECODE_SIGNATURE).expected_s(count - 1) if count > 1 else 0.0)

    async def draft(self, sequences: Iterable[TokenSequence], count: int) -> Guesses:
        """Returns up to `count` tokens for each sequence that can be followed; nothing if a call fails."""
        try:
            if not self._lease.held:
                await self._placement.ensure_pool()
                self._cold = {names.PREFILL_SIGNATURE, names.DECODE_SIGNATURE}
            return await self._draft([s for s in sequences if s.remaining > 1], count)
        except (StateLostError, StepRejectedError, ModelServerUnavailable) as error:
            log.warning("the draft model failed: %s", error)
            self._forget_all()
            return {}

    def drop(self, sequence: TokenSequence) -> None:
        """Forgets `sequence`, if it is followed."""
        if copy := self._copies.pop(sequence.id, None):
            self._placement.drop(copy)

    def audit(self) -> None:
        """Asserts that slots are held by the copies alone."""
        self._placement.audit()
        assert len(self._placement) == len(self._copies)

    async def _draft(self, sequences: list[TokenSequence], count: int) -> Guesses:
        known = {sequence.id: sequence.length for sequence in sequences}
        rows = self._rows([copy for sequence in sequences if (copy := self._follow(sequence))])
        if not rows or not self._reserve(rows, count):
            return {}
        await self._placement.arrange()
        rows = [row for row in rows if row.sequence.id in self._copies]
        guessing = [row.sequence for row in rows if row.samples]
        await self._catch_up(rows)
        await self._guess([copy for copy in guessing if copy.id in self._copies], count - 1)
        return {copy.id: copy.ids[known[copy.id] :] for copy in guessing if copy.id in self._copies}

    def _follow(self, sequence: TokenSequence) -> TokenSequence | None:
        """Returns the copy of `sequence`, with its token ids and no guesses; None if there is no room."""
        copy = self._copies.get(sequence.id)
        if copy is None:
            return self._add_copy(sequence)
        same = len(copy.prompt) + common_prefix_length(copy.generated, sequence.generated)
        copy.generated[:] = sequence.generated
        copy.computed = min(copy.computed, same, copy.length - 1)
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

    def _rows(self, copies: list[TokenSequence]) -> list[BatchRow]:
        """Returns the tokens that one call adds to the copies: the first ones get theirs, then the next."""
        rows, left = [], MAX_CALL_TOKENS
        for copy in copies:
            if count := min(copy.pending, left):
                rows.append(BatchRow(copy, count))
                left -= count
        return rows

    def _reserve(self, rows: list[BatchRow], count: int) -> bool:
        """Records the blocks that the copies need for `count` guesses; returns whether there are so many."""
        needs = {copy.id: self._pool.blocks_for(copy.length) for copy in self._copies.values()}
        for row in rows:
            most = min(row.sequence.length + count, row.sequence.capacity)
            needs[row.sequence.id] = self._pool.blocks_for(most)
        if not self._layout.fits(needs.values()):
            return False
        for sequence_id, blocks in needs.items():
            self._slots.require_blocks(sequence_id, blocks)
        return True

    async def _catch_up(self, rows: list[BatchRow]) -> None:
        """Computes the tokens of `rows`; a copy without pending ones then gets its first guess."""
        prompts = Batch(tuple(rows))
        if not rows:
            return
        call = pool_calls.PrefillCall([], [], prompts, self._placement.slots_of(prompts.sequences))
        outputs = await self._call(names.PREFILL_SIGNATURE, call.inputs(), prompts.computed_tokens)
        sampled = sampling_inputs.parse_outputs(outputs, call.sequences, call.rows, (call.count, 1))
        for row, tokens in zip(rows, sampled, strict=True):
            if row.sequence.feed(row.count):
                row.sequence.generated += tokens.ids

    async def _guess(self, copies: list[TokenSequence], count: int) -> None:
        """Adds up to `count` guesses to the first one of each copy."""
        going = [copy for copy in copies if copy.generated[-1] not in copy.eos and copy.remaining > 0]
        if not going or count < 1:
            return
        slots = self._placement.slots_of(going)
        call = pool_calls.DecodeCall(
            tuple(
                pool_calls.DecodeRow(copy, slot, copy.computed, min(count, copy.remaining))
                for copy, slot in zip(going, slots, strict=True)
            ),
            count,
        )
        outputs = await self._call(names.DECODE_SIGNATURE, call.inputs(), count)
        sampled = sampling_inputs.parse_outputs(outputs, going, slots, (call.count, count))
        for copy, tokens in zip(going, sampled, strict=True):
            _extend(copy, tokens)

    async def _call(self, signature: str, inputs: Tensors, units: int) -> Tensors:
        start_s = time.perf_counter()
        outputs = await self._lease.call(signature, inputs)
        if signature in self._cold:
            self._cold.remove(signature)
        else:
            self._cost(signature).record(units, time.perf_counter() - start_s)
        return outputs

    def _cost(self, signature: str) -> CallCost:
        return self._measured.setdefault(signature, CallCost(_ASSUMED_UNIT_S))

    def _forget_all(self) -> None:
        self._copies.clear()
        self._placement.clear()
        self._lease.give_up()


def _extend(copy: TokenSequence, tokens: SampledTokens) -> None:
    """Appends guesses; all but the last are in the pool."""
    copy.feed(1)
    copy.generated += tokens.ids
    copy.computed = copy.length - 1
