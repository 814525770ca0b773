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

_PADDING: dict[str, float] = {
    names.STOP_TOKENS: decode_inputs.NO_STOP,
    names.LAST_TOKENS: names.NO_TOKEN,
    **sampling_inputs.PADDING,
}
"""The values of the inputs in rows without a sequence; 0 for an input that is not listed."""


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
        slots = [row.slot for row in self.rows]
        placed = {name: _placed(name, value, slots, self.count) for name, value in inputs.items()}
        return placed | sampling_inputs.call_inputs(sequences)


@dataclass(frozen=True)
class PrefillCall:
    """A `prefill` call: pieces of prompts, and a decode step of the sequences that decode meanwhile.

    Row i of the decode step is slot i, whether or not one of these sequences owns it.
    """

    decoded: list[TokenSequence]
    decoded_slots: list[int]
    prompts: Batch
    prompt_slots: list[int]

    @property
    def decoded_count(self) -> int:
        """The rows of the decode step: one for each slot up to the highest."""
        return max(self.decoded_slots, default=-1) + 1

    @property
    def count(self) -> int:
        """All rows of the call."""
        return self.decoded_count + len(self.prompts.rows)

    @property
    def sequences(self) -> list[TokenSequence]:
        """The sequences: those that decode, then the prompts'."""
        return [*self.decoded, *self.prompts.sequences]

    @property
    def rows(self) -> list[int]:
        """The row of each sequence in the sampling inputs and in the outputs."""
        return [*self.decoded_slots, *range(self.decoded_count, self.count)]

    def inputs(self) -> Tensors:
        """Returns the inputs that compute each row's tokens, and sample a token after the last one."""
        sequences, rows = self.sequences, self.rows
        sampling = sampling_inputs.row_inputs(sequences, 1)
        last = np.array([sequence.next_tokens(1)[0] for sequence in self.decoded], np.int32)
        held = np.array([sequence.computed for sequence in self.decoded], np.int32)
        return {
            names.LAST_TOKENS: _placed(names.LAST_TOKENS, last, self.decoded_slots, self.decoded_count),
            names.POSITIONS: _placed(names.POSITIONS, held, self.decoded_slots, self.decoded_count),
            **_token_inputs(
                self.prompts.sequences, self.prompt_slots, self.prompts.tokens, self.prompts.counts
            ),
            **{name: _placed(name, value, rows, self.count) for name, value in sampling.items()},
            **sampling_inputs.call_inputs(sequences),
        }


def verify(sequences: list[TokenSequence], drafts: Sequence[tuple[int, ...]], slots: list[int]) -> Tensors:
    """Returns the `prefill` inputs that compute each sequence's pending token and its draft.

    A token is sampled after each of these.
    """
    counts = [1 + len(draft) for draft in drafts]
    tokens = np.zeros((len(sequences), max(counts)), np.int32)
    for row, sequence, draft in zip(tokens, sequences, drafts, strict=True):
        row[: 1 + len(draft)] = (*sequence.next_tokens(1), *draft)
    return {
        names.LAST_TOKENS: np.zeros(0, np.int32),
        names.POSITIONS: np.zeros(0, np.int32),
        **_token_inputs(sequences, slots, tokens, counts),
        **sampling_inputs.row_inputs(sequences, steps=max(counts)),
        **sampling_inputs.call_inputs(sequences),
    }


def move(moves: list[Move]) -> Tensors:
    """Returns the inputs that copy slots to other slots, all at once."""
    return {
        names.SOURCES: np.array([move.source for move in moves], np.int32),
        names.TARGETS: np.array([move.target for move in moves], np.int32),
        names.BLOCKS: np.array([move.blocks for move in moves], np.int32),
    }


def _token_inputs(
    sequences: list[TokenSequence], slots: list[int], tokens: Array, counts: list[int]
) -> dict[str, Array]:
    return {
        names.TOKENS: tokens,
        names.LENGTHS: np.array(counts, np.int32),
        names.SLOTS: np.array(slots, np.int32),
        names.STARTS: np.array([sequence.computed for sequence in sequences], np.int32),
    }


def _placed(name: str, values: Array, rows: list[int], count: int) -> Array:
    """Places `values` in the given rows of the input `name`, which has `count`; the others take no part."""
    placed = np.full((count, *values.shape[1:]), _PADDING.get(name, 0), values.dtype)
    placed[rows] = values
    return placed
