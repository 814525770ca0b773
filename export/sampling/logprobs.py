"""Log-probabilities of the tokens that are given, in the graph: log-softmax of the logits as they came."""

from typing import NamedTuple

import tensorflow as tf

from contract.names import NO_LOGPROBS


class Logprobs(NamedTuple):
    """Of every token of a call; `steps` is 0 where nobody asked."""

    tokens: tf.Tensor  # float32 (rows, steps)
    top_ids: tf.Tensor  # int32 (rows, steps, top)
    top: tf.Tensor  # float32 (rows, steps, top)

    @staticmethod
    def empty(rows: tf.Tensor, steps: tf.Tensor, top: tf.Tensor) -> "Logprobs":
        """Zeros, for `top` of the likeliest tokens at each of `steps`; nothing where `top` is NO_LOGPROBS."""
        steps = tf.where(top == NO_LOGPROBS, 0, steps)
        shape = [rows, steps, tf.maximum(top, 0)]
        return Logprobs(tf.zeros(shape[:2]), tf.zeros(shape, tf.int32), tf.zeros(shape))

    def at(self, step: tf.Tensor, logits: tf.Tensor, tokens: tf.Tensor) -> "Logprobs":
        """With those of `tokens` (rows,), given at `step` by `logits` (rows, vocabulary)."""
        asked = tf.shape(self.tokens)[1] > 0
        return Logprobs(*tf.cond(asked, lambda: self._at(step, logits, tokens), lambda: tuple(self)))

    def _at(self, step: tf.Tensor, logits: tf.Tensor, tokens: tf.Tensor) -> tuple[tf.Tensor, ...]:
        mass = tf.reduce_logsumexp(logits, axis=1, keepdims=True)
        given = tf.gather(logits, tf.maximum(tokens, 0)[:, None], batch_dims=1) - mass
        top = tf.math.top_k(logits, tf.shape(self.top)[2])
        here = tf.range(tf.shape(self.tokens)[1]) == step
        return (
            tf.where(here, given, self.tokens),
            tf.where(here[:, None], top.indices[:, None], self.top_ids),
            tf.where(here[:, None], (top.values - mass)[:, None], self.top),
        )
