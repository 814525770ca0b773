"""Builds the inputs of the calls of a pool: `prefill`, `decode` and `move`. The caller gives the slots."""

from collections.abc import Sequence

import numpy as np

from contract import names
from contract.tensors import Array
from deployments.decoder.calls import decode_inputs, sampling_inputs
from deployments.decoder.resident.slots import Move
from deployments.decoder.scheduler import Batch, BatchRow
from deployments.decoder.sequence import TokenSequence
from deployments.decoder.servers.model_servers import Tensors


class SlotRows:
    """The rows of a `decode` call: row i is slot i, whether or not a sequence of the batch owns it."""

    def __init__(self, slots: list[int]) -> None:
        """`slots`: the slot of each sequence of the batch; the call has a row for each up to the highest."""
        self.slots = slots
        self.count = max(slots) + 1

    def scatter(self, values: Array, padding: float) -> Array:
        """Places `values` (batch, ...) in the rows of their slots: (count, ...), `padding` elsewhere."""
        rows = np.full((self.count, *values.shape[1:]), padding, values.dtype)
        rows[self.slots] = values
        return rows


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


def decode(rows: Sequence[BatchRow], budgets: list[int], slot_rows: SlotRows, steps: int) -> Tensors:
    """Returns the inputs that generate up to `steps` tokens per row, and no more than its budget."""
    sequences = [row.sequence for row in rows]
    inputs = {
        names.POSITIONS: np.array([sequence.computed for sequence in sequences], np.int32),
        **decode_inputs.row_inputs(sequences, budgets),
        **sampling_inputs.row_inputs(sequences, steps),
    }
    padding = {names.STOP_TOKENS: decode_inputs.NO_STOP, **sampling_inputs.PADDING}
    scattered = {name: slot_rows.scatter(value, padding.get(name, 0)) for name, value in inputs.items()}
    return scattered | sampling_inputs.call_inputs(sequences)


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
