"""What the calls of a pool are told of a batch's rows. Knows nothing of which slot is whose."""

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
    """A batch's rows among all the rows that a decode call spans."""

    def __init__(self, slots: list[int], rows: int) -> None:
        self.rows = rows
        self.slots = slots

    def spread(self, values: Array, fill: float) -> Array:
        """`values` (batch, ...) at their slots' places: (rows, ...), `fill` elsewhere."""
        spread = np.full((self.rows, *values.shape[1:]), fill, values.dtype)
        spread[self.slots] = values
        return spread


def prefill(batch: Batch, slots: list[int]) -> Tensors:
    """The rows' next pending tokens; one token is sampled after each row's last."""
    return _fed([row.sequence for row in batch.rows], slots, batch.tokens, batch.counts, steps=1)


def check(sequences: list[TokenSequence], drafts: Sequence[tuple[int, ...]], slots: list[int]) -> Tensors:
    """Each sequence's last token and a draft of what follows; a token is sampled after each of these."""
    counts = [1 + len(draft) for draft in drafts]
    tokens = np.zeros((len(sequences), max(counts)), np.int32)
    for row, sequence, draft in zip(tokens, sequences, drafts, strict=True):
        row[: 1 + len(draft)] = (*sequence.next_tokens(1), *draft)
    return _fed(sequences, slots, tokens, counts, steps=max(counts))


def decode(rows: Sequence[BatchRow], budgets: list[int], table: SlotRows, steps: int) -> Tensors:
    """Up to `steps` tokens for each row, as its budget allows."""
    sequences = [row.sequence for row in rows]
    inputs = {
        names.POSITIONS: np.array([sequence.computed for sequence in sequences], np.int32),
        **decode_inputs.row_inputs(sequences, budgets),
        **sampling_inputs.row_inputs(sequences, steps),
    }
    fills = {names.STOP_TOKENS: decode_inputs.NO_STOP, **sampling_inputs.PADDING}
    spread = {name: table.spread(value, fills.get(name, 0)) for name, value in inputs.items()}
    return spread | sampling_inputs.call_inputs(sequences)


def move(moves: list[Move]) -> Tensors:
    return {
        names.SOURCES: np.array([move.source for move in moves], np.int32),
        names.TARGETS: np.array([move.target for move in moves], np.int32),
        names.BLOCKS: np.array([move.blocks for move in moves], np.int32),
    }


def _fed(
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
