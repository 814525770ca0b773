"""Changes of single logits, in the graph: penalties, biases, bans. Only tokens that are listed are touched.

The decode loop's own arithmetic is the same, operation by operation. Knows neither probabilities nor models.
"""

from typing import NamedTuple

import tensorflow as tf

from contract.names import NO_EDIT


class Weights(NamedTuple):
    """How much is changed; what no step of a call changes."""

    bias: tf.Tensor  # (rows, edits)
    presence: tf.Tensor  # (rows,)
    frequency: tf.Tensor  # (rows,)
    repetition: tf.Tensor  # (rows,)


class Listed(NamedTuple):
    """Which tokens are changed, and how often the answer holds each: int32 (rows, edits)."""

    ids: tf.Tensor
    counts: tf.Tensor

    def seen(self, tokens: tf.Tensor) -> "Listed":
        """After `tokens` (rows,), negative for none: each is counted, in a free column if it is not listed.

        Where there is no free column left the token is not counted.
        """
        return Listed(*tf.cond(_any(self.ids), lambda: self._seen(tokens), lambda: tuple(self)))

    def _seen(self, tokens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        given = tokens[:, None]
        there = self.ids == given
        used = tf.reduce_sum(tf.cast(self.ids != NO_EDIT, tf.int32), axis=1, keepdims=True)
        is_new = ~tf.reduce_any(there, axis=1, keepdims=True) & (tf.range(tf.shape(self.ids)[1]) == used)
        here = (given >= 0) & (there | is_new)
        return tf.where(here, given, self.ids), tf.where(here, tf.maximum(self.counts, 0) + 1, self.counts)


def edited(logits: tf.Tensor, listed: Listed, weights: Weights) -> tf.Tensor:
    """`logits` float32 (rows, vocabulary) with the changes."""
    return tf.cond(_any(listed.ids), lambda: _edited(logits, listed, weights), lambda: logits)


def _edited(logits: tf.Tensor, listed: Listed, weights: Weights) -> tf.Tensor:
    real = listed.ids != NO_EDIT
    # Padding stands for the row's first token once more; where that is padding too, for token 0, unchanged.
    ids = tf.where(real, listed.ids, tf.maximum(listed.ids[:, :1], 0))
    values = _changed(tf.gather(logits, ids, batch_dims=1), listed.counts, weights)
    values = tf.where(real, values, values[:, :1])
    rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, None], tf.shape(ids))
    return tf.tensor_scatter_nd_update(logits, tf.stack([rows, ids], axis=2), values)


def _changed(values: tf.Tensor, counts: tf.Tensor, weights: Weights) -> tf.Tensor:
    repetition = weights.repetition[:, None]
    repeated = tf.where(values > 0, values / repetition, values * repetition)
    values = tf.where(counts >= 0, repeated, values) + weights.bias
    values -= weights.presence[:, None] * tf.cast(counts > 0, tf.float32)
    return values - weights.frequency[:, None] * tf.cast(tf.maximum(counts, 0), tf.float32)


def _any(ids: tf.Tensor) -> tf.Tensor:
    return tf.shape(ids)[1] > 0
