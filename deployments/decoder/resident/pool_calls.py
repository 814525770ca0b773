"""Builds the inputs of the calls of a pool: `prefill`, `decode` and `move`. The caller gives the slots."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contract import names
from contract.tensors import Array
from deployments.decoder.calls import decode_inputs, sampling_inputs
from deployments.decoder.resident.slots import Move
from deployments.decoder.scheduler import Batch
from deployments.decoder.sequence import TokenSequence
from deployments.decoder.servers.model_servers import Tensors


@dataclass(frozen=True)
class DecodeRow:
    """A sequence in a `decode` call."""

    sequence: TokenSequence
    slot: int
    computed: int
    """How many tokens of the sequence the slot holds before the call."""
    budget: int
    """The most tokens that it may get in the call."""


@dataclass(frozen=True)
class DecodeCall:
    """A `decode` call: row i is slot i, whether or not a sequence of the call owns it."""

    rows: tuple[DecodeRow, ...]
    steps: int
    continues: bool = False
    """Whether the call goes on with the last tokens of the call before it, which need not have ended."""

    @property
    def count(self) -> int:
        """The rows of the call: one for each slot up to the highest."""
        return max(row.slot for row in self.rows) + 1

    def covers(self, batch: Batch) -> bool:
        """Returns whether every row of `batch` is in the call."""
        return set(batch.sequence_ids) <= {row.sequence.id for row in self.rows}

    def following(self, rows: Sequence[DecodeRow], steps: int) -> "DecodeCall | None":
        """Returns the call after this one, for those of `rows` that may get more tokens; None if none may.

        `rows` are rows of this call whose sequences stand where it begins.
        """
        following = [
            DecodeRow(row.sequence, row.slot, row.computed + row.budget, min(steps, left))
            for row in rows
            if (left := row.sequence.token_budget - row.budget) > 0
        ]
        return DecodeCall(tuple(following), steps, continues=True) if following else None

    def inputs(self) -> Tensors:
        """Returns the inputs that generate up to `steps` tokens per row, and no more than its budget."""
        sequences = [row.sequence for row in self.rows]
        computed = np.array([row.computed for row in self.rows], np.int32)
        inputs = {
            names.POSITIONS: computed,
            **decode_inputs.row_inputs(sequences, [row.budget for row in self.rows]),
            **sampling_inputs.row_inputs(sequences, self.steps, computed + 1),
        }
        if self.continues:
            inputs[names.TOKENS] = np.full(len(sequences), names.CONTINUE, np.int32)
        padding = {names.STOP_TOKENS: decode_inputs.NO_STOP, **sampling_inputs.PADDING}
        scattered = {name: self._scatter(value, padding.get(name, 0)) for name, value in inputs.items()}
        return scattered | sampling_inputs.call_inputs(sequences)

    def _scatter(self, values: Array, padding: float) -> Array:
        """Places `values` (rows, ...) in the rows of their slots: (count, ...), `padding` elsewhere."""
        placed = np.full((self.count, *values.shape[1:]), padding, values.dtype)
        placed[[row.slot for row in self.rows]] = values
        return placed


def prefill(batch: Batch, slots: list[int]) -> Tensors:
    """Returns the inputs that compute the pending tokens of each row, and sample a token after the last."""
    return _prefill_inputs([row.sequence for row in batch.rows], slots, batch.tokens, batch.counts, steps=1)


def verify(sequences: list[TokenSequence], drafts: Sequence[tuple[int, ...]], slots: list[int]) -> Tensors:
    """Returns the `prefill` inputs that compute each sequence's pending token and its draft.

    A token is sampled after each of these.
    """
    counts = [1 + len(draft) for draft in drafts]
    tokens = np.zeros((len(sequences), max(counts)), np.int32)
    for row, sequence, draft in zip(tokens, sequences, drafts, strict=True):
        row[: 1 + len(draft)] = (*sequence.next_tokens(1), *draft)
    return _prefill_inputs(sequences, slots, tokens, counts, steps=max(counts))


def move(moves: list[Move]) -> Tensors:
    """Returns the inputs that copy slots to other slots, all at once."""
    return {
        names.SOURCES: np.array([move.source for move in moves], np.int32),
        names.TARGETS: np.array([move.target for move in moves], np.int32),
        names.BLOCKS: np.array([move.blocks for move in moves], np.int32),
    }


def _prefill_inputs(
    sequences: list[TokenSequence], slots: list[int], tokens: Array, counts: list[int], steps: int
) -> Tensors:
    return {
        names.TOKENS: tokens,
        names.LENGTHS: np.array(counts, np.int32),
        names.SLOTS: np.array(slots, np.int32),
        names.STARTS: np.array([sequence.computed for sequence in sequences], np.int32),
        **sampling_inputs.row_inputs(sequences, steps),
        **sampling_inputs.call_inputs(sequences),
    }
