"""What the `decode` of either layout is told of a call's sequences: last tokens, budgets, what ends them.

Does not know how tokens are sampled.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contract import names
from contract.tensors import Array
from deployments.decoder.sequence import TokenSequence

NO_STOP = -1
"""Fills up a row's stop tokens."""


def of_rows(sequences: Sequence[TokenSequence], budgets: Sequence[int]) -> dict[str, Array]:
    """The inputs with a row for each sequence."""
    return {
        names.TOKENS: np.array([sequence.next_tokens(1)[0] for sequence in sequences], np.int32),
        names.BUDGET: np.array(budgets, np.int32),
        names.STOP_TOKENS: _stop_tokens(sequences),
    }


def _stop_tokens(sequences: Sequence[TokenSequence]) -> npt.NDArray[np.int32]:
    """(rows, most), filled up with NO_STOP."""
    most = max(1, *(len(sequence.eos) for sequence in sequences))
    stops = np.full((len(sequences), most), NO_STOP, np.int32)
    for row, sequence in zip(stops, sequences, strict=True):
        row[: len(sequence.eos)] = sorted(sequence.eos)
    return stops
