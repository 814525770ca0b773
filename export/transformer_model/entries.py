"""Blocks of keys or of values as attention reads them: floats, or integers with a scale for each entry.

An entry is the key or the value of one position and head, (head_dim,). It is rounded to integers by its own
largest magnitude, so it does not depend on other entries. The scales are not multiplied with the entries but
with what is computed from them: with the scores, and with the weights of the sum.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from export.transformer_model.quantized import rounded_rows


class Int8Entries(NamedTuple):
    """Entries as integers from -127 to 127; an entry is its integers times its scale."""

    integers: tf.Tensor
    """int8 (rows, kv_heads, block_size, head_dim)."""
    scales: tf.Tensor
    """float32 (rows, kv_heads, 1, block_size): broadcasts to scores and weights."""


Entries: TypeAlias = tf.Tensor | Int8Entries
"""Float entries are a tensor (rows, kv_heads, block_size, head_dim)."""


def quantize_entries(entries: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Rounds `entries` (count, head_dim); returns int8 (count, head_dim) and float32 scales (count,).

    The scale of an entry with NaN or an infinity is NaN, and so are its scores and sums.
    """
    integers, scales = rounded_rows(tf.cast(entries, tf.float32))
    scales = scales[:, 0]
    # With an infinite scale, a score could be -inf, so that the entry would be left out without a trace.
    return integers, tf.where(tf.math.is_finite(scales), scales, np.nan)


def each_part(entries: Entries, function: Callable[[tf.Tensor], tf.Tensor]) -> Entries:
    """Applies `function`, which works on the first axis, to each tensor of `entries`."""
    return Int8Entries(*map(function, entries)) if isinstance(entries, Int8Entries) else function(entries)


def key_scores(queries: tf.Tensor, keys: Entries) -> tf.Tensor:
    """Returns the scores of `queries` (rows, kv_heads, steps, head_dim): (rows, kv_heads, steps, block_size).

    For Int8Entries they are float32.
    """
    if not isinstance(keys, Int8Entries):
        return tf.matmul(queries, keys, transpose_b=True)
    # The integers are exact in bfloat16.
    products = tf.matmul(queries, tf.cast(keys.integers, queries.dtype), transpose_b=True)
    return tf.cast(products, tf.float32) * keys.scales


def weights_dtype(values: Entries) -> tf.DType:
    """Returns the dtype of the weights that `weighted_sum` takes."""
    # TensorFlow casts int8 to float32 in half the time that it takes to bfloat16.
    return tf.float32 if isinstance(values, Int8Entries) else values.dtype


def weighted_sum(weights: tf.Tensor, values: Entries) -> tf.Tensor:
    """Returns the values summed by `weights`, in the dtype of these: (rows, kv_heads, steps, head_dim)."""
    if not isinstance(values, Int8Entries):
        return tf.matmul(weights, values)
    # Not cast before the weights are known: the product would then find the floats no longer in the cache.
    with tf.control_dependencies([weights]):
        floats = tf.cast(values.integers, weights.dtype)
    return tf.matmul(weights * values.scales, floats)
