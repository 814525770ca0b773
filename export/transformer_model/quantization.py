"""Weights as 8-bit integers: which ones, and their values. Pure.

A matrix is stored as integers from -127 to 127 and one range for each of its outputs: the largest magnitude
of that output's weights. A weight is its integer times range / 127.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from contract.tensors import Array

LARGEST = 127
"""The largest integer: -128 has no counterpart above zero."""
OUTPUTS_FIRST = ("embedding", "head.kernel")
"""The matrices whose first axis are the outputs of the head; other kernels have their outputs last."""
NOT_QUANTIZED = "router.kernel"
"""A router is small, and its rounding would choose other experts."""


class QuantizedValues(NamedTuple):
    """A matrix, or a stack of matrices along a first axis, as integers."""

    integers: npt.NDArray[np.int8]
    ranges: npt.NDArray[np.float32]
    """The shape of `integers` without the axis of the inputs."""


def is_quantized(name: str) -> bool:
    """Returns whether the weight `name` becomes integers in an export with int8 weights."""
    return name in OUTPUTS_FIRST or (name.endswith(".kernel") and not name.endswith(NOT_QUANTIZED))


def quantize(name: str, weight: Array) -> QuantizedValues:
    """Rounds the weight `name`, a matrix or a stack of matrices, to integers. A NaN makes its range NaN."""
    inputs = -1 if name in OUTPUTS_FIRST else -2
    values = weight.astype(np.float32)
    ranges = np.maximum(values.max(axis=inputs, keepdims=True), -values.min(axis=inputs, keepdims=True))
    # An output of zeros has the range 0, and integers of 0.
    values *= np.divide(LARGEST, ranges, out=np.zeros_like(ranges), where=ranges > 0)
    np.nan_to_num(values, copy=False)
    return QuantizedValues(np.rint(values, out=values).astype(np.int8), ranges.squeeze(inputs))
