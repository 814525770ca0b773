"""Builds the inputs of `decode` that both state layouts share: last tokens, budgets and stop tokens.

The sampling inputs are in `sampling_inputs.py`.
"""

from collections.abc import Sequence

import numpy as np

from contract import names
from contract.tensors import Array
from deployments.decoder.sampling.arrays import Int32
from deployments.decoder.sequence import TokenSequence

NO_STOP = -1
"""Pads the stop tokens of a row."""


def row_inputs(sequences: Sequence[TokenSequence], budgets: Sequence[int]) -> dict[str, Array]:
    """Returns the inputs that have a row for each sequence; a row may get `budgets` tokens at most."""
    return {
        names.TOKENS: np.array([sequence.next_tokens(1)[0] for sequence in sequences], np.int32),
        names.BUDGET: np.array(budgets, np.int32),
        names.STOP_TOKENS: _stop_tokens(sequences),
    }


def _stop_tokens(sequences: Sequence[TokenSequence]) -> Int32:
    """(rows, longest), padded with NO_STOP."""
    longest = max(1, *(len(sequence.eos) for sequence in sequences))
    stops = np.full((len(sequences), longest), NO_STOP, np.int32)
    for row, sequence in zip(stops, sequences, strict=True):
        row[: len(sequence.eos)] = sorted(sequence.eos)
    return stops
