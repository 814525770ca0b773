"""How far two computations of the same tensors lie apart, and which tensor shows it most."""

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from contract.tensors import Array


class Difference(NamedTuple):
    """The largest absolute difference of some elements."""

    size: float
    """Not a number where an element is none."""
    tensor: str

    @property
    def _rank(self) -> float:
        return math.inf if math.isnan(self.size) else self.size


def between(tensor: str, given: Array, expected: Array) -> Difference:
    """Of arrays of one shape and any dtypes."""
    return Difference(float(np.abs(_wide(given) - _wide(expected)).max()), tensor)


def of_all(given: Mapping[str, Array], expected: Mapping[str, Array]) -> Difference:
    """Of tensors by their names."""
    return largest(between(name, given[name], expected[name]) for name in expected)


def largest(differences: Iterable[Difference]) -> Difference:
    """Of equal ones the first."""
    return max(differences, key=lambda difference: difference._rank)


def _wide(value: Array) -> Array:
    return value.astype(np.result_type(value.dtype, np.float64))
