"""The largest absolute difference between two computations of the same tensors, with the tensor's name."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from contract.tensors import Array


class Difference(NamedTuple):
    """The largest absolute difference between the elements of two tensors."""

    size: float
    """NaN where the difference of any two elements is NaN."""
    tensor: str

    @property
    def _rank(self) -> float:
        return math.inf if math.isnan(self.size) else self.size


def between(tensor: str, actual: Array, expected: Array) -> Difference:
    """Compares two arrays of one shape and of any dtypes."""
    return Difference(float(np.abs(_wide(actual) - _wide(expected)).max()), tensor)


def of_all(actual: Mapping[str, Array], expected: Mapping[str, Array]) -> Difference:
    """Compares tensors by their names, and returns the largest difference."""
    return largest(between(name, actual[name], expected[name]) for name in expected)


def largest(differences: Iterable[Difference]) -> Difference:
    """Returns the largest difference: NaN ranks above all numbers, and the first of equal ones wins."""
    return max(differences, key=lambda difference: difference._rank)


def _wide(value: Array) -> Array:
    return value.astype(np.result_type(value.dtype, np.float64))
