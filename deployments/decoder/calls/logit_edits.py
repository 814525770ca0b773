"""Changes of single logits of a call's rows: penalties, biases, bans.

What a model server is given, and the same arithmetic, operation by operation, for logits that are here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract import names
from contract.tensors import Array
from deployments.decoder.sequence import TokenSequence

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]


@dataclass(frozen=True)
class LogitEdits:
    """Of each row, as `contract.names` says."""

    ids: Int32  # (rows, edits)
    counts: Int32  # (rows, edits)
    bias: Float32  # (rows, edits)
    presence: Float32  # (rows,)
    frequency: Float32  # (rows,)
    repetition: Float32  # (rows,)

    @staticmethod
    def of(sequences: Sequence[TokenSequence], steps: int = 1) -> "LogitEdits":
        """For a call that gives each sequence at most `steps` tokens."""
        texts = [(row, s.edits, s.edits.follow(s.generated)) for row, s in enumerate(sequences) if s.edits]
        # The call may give a row that many tokens that are not listed yet, and then look at them.
        free = [steps - 1 if sequences[row].sampling.penalised else 0 for row, *_ in texts]
        width = max((listed + more for (_, _, listed), more in zip(texts, free, strict=True)), default=0)
        edits = _empty(len(sequences), width)
        for row, text, listed in texts:
            if listed:
                text.fill(edits.ids[row], edits.counts[row], edits.bias[row])
            params = sequences[row].sampling
            edits.presence[row] = params.presence_penalty
            edits.frequency[row] = params.frequency_penalty
            edits.repetition[row] = params.repetition_penalty
        return edits

    def inputs(self) -> dict[str, Array]:
        """As a model server takes them."""
        return {
            names.EDIT_IDS: self.ids,
            names.EDIT_COUNTS: self.counts,
            names.EDIT_BIAS: self.bias,
            names.PRESENCE: self.presence,
            names.FREQUENCY: self.frequency,
            names.REPETITION: self.repetition,
        }

    def apply(self, logits: Float32) -> None:
        """Change `logits` (rows, vocabulary)."""
        rows, columns = np.nonzero(self.ids != names.NO_EDIT)
        if rows.size:
            ids = self.ids[rows, columns]
            logits[rows, ids] = self._changed(logits[rows, ids], rows, columns)

    def _changed(self, values: Float32, rows: Array, columns: Array) -> Float32:
        repetition, counts = self.repetition[rows], self.counts[rows, columns]
        repeated = np.where(values > 0, values / repetition, values * repetition)
        values = np.where(counts >= 0, repeated, values) + self.bias[rows, columns]
        values = values - self.presence[rows] * (counts > 0).astype(np.float32)
        return values - self.frequency[rows] * np.maximum(counts, 0).astype(np.float32)


def _empty(rows: int, width: int) -> LogitEdits:
    """That change nothing."""
    return LogitEdits(
        ids=np.full((rows, width), names.NO_EDIT, np.int32),
        counts=np.full((rows, width), names.UNSEEN, np.int32),
        bias=np.zeros((rows, width), np.float32),
        presence=np.zeros(rows, np.float32),
        frequency=np.zeros(rows, np.float32),
        repetition=np.ones(rows, np.float32),
    )
