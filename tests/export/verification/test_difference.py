"""The largest difference is found in any dtype, and NaN ranks above all numbers."""

import math

import ml_dtypes
import numpy as np
import pytest

from export.verification.difference import Difference, between, largest, of_all


@pytest.mark.parametrize(
    "dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.int32, np.uint8, np.complex64]
)
def test_arrays_of_any_dtype_are_compared(dtype: type) -> None:
    given, expected = np.array([[1, 2], [3, 0]], dtype), np.array([[1, 5], [3, 1]], dtype)
    assert between("h", given, expected) == Difference(3.0, "h")


def test_truth_values_differ_by_one() -> None:
    assert between("seen", np.array([True, False]), np.array([True, True])).size == 1


def test_the_tensor_that_is_farthest_off_is_named() -> None:
    expected = {"h": np.zeros(2), "c": np.zeros(2)}
    assert of_all({"h": np.array([0.0, 1.0]), "c": np.array([2.0, 0.0])}, expected) == Difference(2.0, "c")


def test_nan_is_the_largest_of_all() -> None:
    with np.errstate(invalid="ignore"):
        infinite = between("c", np.array([np.inf]), np.array([np.inf]))
    assert largest([Difference(9.0, "h"), infinite, Difference(1.0, "x")]).tensor == "c"
    assert math.isnan(infinite.size)
