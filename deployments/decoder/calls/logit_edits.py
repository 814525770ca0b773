"""The logit edits of a call's rows: penalties, biases and bans of single tokens.

Builds them as inputs of a model server, or applies them on the host with the same float32 operations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contract import names
from contract.tensors import Array
from deployments.decoder.sampling.arrays import Float32, Int32
from deployments.decoder.sequence import TokenSequence


@dataclass(frozen=True)
class LogitEdits:
    """The edits of each row; `contract.names` (EDIT_IDS and below) defines the arrays."""

    ids: Int32  # (rows, edits)
    counts: Int32  # (rows, edits)
    bias: Float32  # (rows, edits)
    presence: Float32  # (rows,)
    frequency: Float32  # (rows,)
    repetition: Float32  # (rows,)

    @staticmethod
    def of(sequences: Sequence[TokenSequence], steps: int = 1) -> "LogitEdits":
        """Returns the edits of a call in which each sequence gets at most `steps` tokens."""
        lists = [(row, s.edits, s.edits.update(s.generated)) for row, s in enumerate(sequences) if s.edits]
        # The graph adds the tokens that it samples, all but the last, and so needs that many free columns.
        free = [steps - 1 if sequences[row].sampling.penalised else 0 for row, *_ in lists]
        width = max((used + more for (_, _, used), more in zip(lists, free, strict=True)), default=0)
        edits = _empty(len(sequences), width)
        for row, edit_list, used in lists:
            if used:
                edit_list.write(edits.ids[row], edits.counts[row], edits.bias[row])
            params = sequences[row].sampling
            edits.presence[row] = params.presence_penalty
            edits.frequency[row] = params.frequency_penalty
            edits.repetition[row] = params.repetition_penalty
        return edits

    def inputs(self) -> dict[str, Array]:
        """Returns the edits as inputs of a model server."""
        return {
            names.EDIT_IDS: self.ids,
            names.EDIT_COUNTS: self.counts,
            names.EDIT_BIAS: self.bias,
            names.PRESENCE: self.presence,
            names.FREQUENCY: self.frequency,
            names.REPETITION: self.repetition,
        }

    def apply(self, logits: Float32) -> None:
        """Applies the edits to `logits` (rows, vocabulary), in place."""
        rows, columns = np.nonzero(self.ids != names.NO_EDIT)
        if rows.size:
            ids = self.ids[rows, columns]
            logits[rows, ids] = self._edited(logits[rows, ids], rows, columns)

    def _edited(self, values: Float32, rows: Array, columns: Array) -> Float32:
        repetition, counts = self.repetition[rows], self.counts[rows, columns]
        repeated = np.where(values > 0, values / repetition, values * repetition)
        values = np.where(counts >= 0, repeated, values) + self.bias[rows, columns]
        values = values - self.presence[rows] * (counts > 0).astype(np.float32)
        return values - self.frequency[rows] * np.maximum(counts, 0).astype(np.float32)


def _empty(rows: int, width: int) -> LogitEdits:
    """Edits that change nothing, of shape (rows, width)."""
    return LogitEdits(
        ids=np.full((rows, width), names.NO_EDIT, np.int32),
        counts=np.full((rows, width), names.UNSEEN, np.int32),
        bias=np.zeros((rows, width), np.float32),
        presence=np.zeros(rows, np.float32),
        frequency=np.zeros(rows, np.float32),
        repetition=np.ones(rows, np.float32),
    )
