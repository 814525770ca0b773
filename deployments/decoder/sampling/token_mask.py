"""Which tokens a row may get, as bits: packed once for a sequence, stacked for a call, applied to logits.

Does not know why a token is not allowed.
"""

from collections.abc import Collection, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Mask: TypeAlias = npt.NDArray[np.uint8]
"""(bytes,): a bit for each token of the vocabulary, lowest bit first."""

ALL = 0xFF


def pack(allowed: Collection[int], vocabulary_size: int) -> Mask:
    """The mask that leaves these tokens."""
    bits = np.zeros(vocabulary_size, np.bool_)
    bits[list(allowed)] = True
    return np.packbits(bits, bitorder="little")


def stack(masks: Sequence[Mask | None]) -> Mask:
    """(rows, bytes); without bytes where no row has a mask, and all ones for a row that has none."""
    size = next((mask.size for mask in masks if mask is not None), 0)
    stacked = np.full((len(masks), size), ALL, np.uint8)
    for row, mask in zip(stacked, masks, strict=True):
        if mask is not None:
            row[:] = mask
    return stacked


def apply(logits: npt.NDArray[np.float32], mask: Mask) -> None:
    """Make what `mask` (rows, bytes) does not allow impossible in `logits` (rows, vocabulary)."""
    if mask.shape[1]:
        allowed = np.unpackbits(mask, axis=1, count=logits.shape[1], bitorder="little")
        logits[allowed == 0] = -np.inf
