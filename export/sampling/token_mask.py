"""Which tokens a row may get, as bits that come with the call. In the graph."""

import numpy as np
import tensorflow as tf

BITS = 8


def masked(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """`logits` (rows, vocabulary), -inf where `mask` uint8 (rows, bytes) has a 0; 0 bytes change nothing."""
    return tf.cond(tf.shape(mask)[1] > 0, lambda: _masked(logits, mask), lambda: logits)


def _masked(logits: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    single = tf.constant([1 << bit for bit in range(BITS)], tf.uint8)
    bits = tf.bitwise.bitwise_and(mask[:, :, None], single) > 0
    allowed = tf.reshape(bits, [tf.shape(mask)[0], -1])[:, : tf.shape(logits)[1]]
    return tf.where(allowed, logits, -np.inf)
