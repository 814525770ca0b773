"""Int8 entries: their rounding, and attention with scales in place of products with each entry."""

import numpy as np
import pytest
import tensorflow as tf

from export.transformer_model.attention import FullBlock, attend
from export.transformer_model.entries import Int8Entries, quantize_entries

SHAPE = (3, 2, 5, 8)
"""(rows, kv_heads, block_size, head_dim)."""


def block_of(entries: np.ndarray) -> Int8Entries:
    integers, scales = quantize_entries(tf.constant(entries.reshape(-1, entries.shape[-1]), tf.float32))
    return Int8Entries(
        tf.reshape(integers, entries.shape), tf.reshape(scales, [*entries.shape[:2], 1, entries.shape[2]])
    )


def floats_of(entries: Int8Entries) -> tf.Tensor:
    return tf.cast(entries.integers, tf.float32) * tf.linalg.matrix_transpose(entries.scales)


def test_the_largest_magnitude_becomes_127_and_halves_go_to_the_even_integer() -> None:
    integers, scales = quantize_entries(tf.constant([[-127.0, 0.5, 1.5, 2.5], [0.0, 0.0, 0.0, 0.0]]))
    assert integers.numpy().tolist() == [[-127, 0, 2, 2], [0, 0, 0, 0]]
    assert scales.numpy() == pytest.approx([1.0, 0.0], abs=1e-30)


def test_an_entry_is_off_by_at_most_half_a_step_and_does_not_depend_on_others() -> None:
    entries = np.random.default_rng(0).normal(size=(50, 16)) * np.geomspace(1e-6, 1e6, 50)[:, None]
    integers, scales = (each.numpy() for each in quantize_entries(tf.constant(entries, tf.float32)))
    off = np.abs(integers * scales[:, None] - entries).max(axis=1)
    assert (off <= np.abs(entries).max(axis=1) / 254 * 1.001).all()
    for i, entry in enumerate(entries):
        alone = quantize_entries(tf.constant(entry[None], tf.float32))
        assert (alone[0].numpy()[0] == integers[i]).all()
        assert alone[1].numpy()[0] == scales[i]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 2e-2)])
def test_attention_equals_that_over_the_rounded_entries(dtype: str, tolerance: float) -> None:
    rng = np.random.default_rng(1)
    keys, values = block_of(rng.normal(size=SHAPE)), block_of(rng.normal(size=SHAPE))
    queries = tf.cast(rng.normal(size=(3, 2, 4, 8)), dtype)
    mask = tf.zeros([3, 1, 1, 5])
    found = attend(queries, [FullBlock(keys, values)], mask)
    floats = FullBlock(floats_of(keys), floats_of(values))
    wanted = attend(tf.cast(queries, tf.float32), [floats], mask)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("part", ["keys", "values"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_or_an_infinity_in_an_entry_reaches_the_rows_that_attend_to_it_and_no_other(
    part: str, value: float
) -> None:
    entries = {kind: np.random.default_rng(2).normal(size=SHAPE) for kind in ("keys", "values")}
    entries[part][1, :, 3, 2] = value
    block = FullBlock(block_of(entries["keys"]), block_of(entries["values"]))
    attended = attend(tf.ones([3, 2, 1, 8]), [block], tf.zeros([3, 1, 1, 5])).numpy()
    assert not np.isfinite(attended[1]).any()
    assert np.isfinite(attended[[0, 2]]).all()
