"""Weights are made from few tensors at a time."""

import weakref

import numpy as np

from contract.tensors import Array, Shape
from export.transformer_model.weight_source import joined, stacked, tensor


def test_only_one_part_of_a_stacked_weight_is_in_memory() -> None:
    read: list[weakref.ref[Array]] = []

    def one(name: str, shape: Shape) -> Array:
        assert all(earlier() is None for earlier in read[: len(read) // 2 * 2]), (
            "an earlier part is still here"
        )
        value = np.full(shape, int(name), np.float32)
        read.append(weakref.ref(value))
        return value

    parts = [joined(tensor(str(i), 3, 2), tensor(str(i + 1), 3, 2)) for i in (0, 2, 4)]
    whole = stacked(*parts).read(one)
    assert whole.shape == (3, 3, 4)
    np.testing.assert_array_equal(whole[:, 0], [[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]])
