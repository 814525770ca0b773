"""The token mask, in the graph: one bit for each token id that a row may get."""

import numpy as np
import tensorflow as tf

BITS = 8


def masked(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns `logits` (rows, vocabulary) with -inf where a bit of `mask` uint8 (rows, bytes) is 0.

    The lowest bit comes first. A mask of 0 bytes allows every token.
    """
    return tf.cond(tf.shape(mask)[1] > 0, lambda: _masked(logits, mask), lambda: logits)


def _masked(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    bit_values = tf.constant([1 << bit for bit in range(BITS)], tf.uint8)
    bits = tf.bitwise.bitwise_and(mask[:, :, None], bit_values) > 0
    allowed = tf.reshape(bits, [tf.shape(mask)[0], -1])[:, : tf.shape(logits)[1]]
    return tf.where(allowed, logits, -np.inf)
