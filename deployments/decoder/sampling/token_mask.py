"""Masks of allowed tokens, as bits: packed once per sequence, stacked for a call, applied to logits."""

from collections.abc import Collection, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Mask: TypeAlias = npt.NDArray[np.uint8]
"""(bytes,), or (rows, bytes) for a call: a bit for each token id, lowest bit first; 1 is allowed."""

ALL = 0xFF
"""A byte that allows eight tokens."""


def pack(allowed: Collection[int], vocabulary_size: int) -> Mask:
    """Returns the mask that allows only the token ids `allowed`."""
    bits = np.zeros(vocabulary_size, np.bool_)
    bits[list(allowed)] = True
    return np.packbits(bits, bitorder="little")


def stack(masks: Sequence[Mask | None]) -> Mask:
    """Stacks masks to (rows, bytes): all ones for a row without a mask, 0 bytes if no row has one."""
    size = next((mask.size for mask in masks if mask is not None), 0)
    stacked = np.full((len(masks), size), ALL, np.uint8)
    for row, mask in zip(stacked, masks, strict=True):
        if mask is not None:
            row[:] = mask
    return stacked


def apply(logits: npt.NDArray[np.float32], mask: Mask) -> None:
    """Sets `logits` (rows, vocabulary) to -inf, in place, where `mask` (rows, bytes) has a 0."""
    if mask.shape[1]:
        allowed = np.unpackbits(mask, axis=1, count=logits.shape[1], bitorder="little")
        logits[allowed == 0] = -np.inf
