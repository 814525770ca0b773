"""Log-probabilities of sampled tokens, in the graph: the log-softmax of the model's unchanged logits."""

from typing import NamedTuple

import tensorflow as tf

from contract.names import NO_LOGPROBS


class Logprobs(NamedTuple):
    """The log-probabilities of every token of a call, and of the likeliest tokens at its place.

    `steps` is 0 where no row requests them.
    """

    tokens: tf.Tensor  # float32 (rows, steps)
    top_ids: tf.Tensor  # int32 (rows, steps, top)
    top: tf.Tensor  # float32 (rows, steps, top)

    @staticmethod
    def empty(rows: tf.Tensor, steps: tf.Tensor, top: tf.Tensor) -> "Logprobs":
        """Returns zeros for `steps` tokens and the `top` likeliest at each; 0 steps for NO_LOGPROBS."""
        steps = tf.where(top == NO_LOGPROBS, 0, steps)
        shape = [rows, steps, tf.maximum(top, 0)]
        return Logprobs(tf.zeros(shape[:2]), tf.zeros(shape, tf.int32), tf.zeros(shape))

    def with_step(self, step: tf.Tensor, logits: tf.Tensor, tokens: tf.Tensor) -> "Logprobs":
        """Adds those of `tokens` (rows,), which were sampled at `step` from `logits` (rows, vocabulary)."""
        requested = tf.shape(self.tokens)[1] > 0
        return Logprobs(
            *tf.cond(requested, lambda: self._with_step(step, logits, tokens), lambda: tuple(self))
        )

    def _with_step(self, step: tf.Tensor, logits: tf.Tensor, tokens: tf.Tensor) -> tuple[tf.Tensor, ...]:
        mass = tf.reduce_logsumexp(logits, axis=1, keepdims=True)
        sampled = tf.gather(logits, tf.maximum(tokens, 0)[:, None], batch_dims=1) - mass
        top = tf.math.top_k(logits, tf.shape(self.top)[2])
        here = tf.range(tf.shape(self.tokens)[1]) == step
        return (
            tf.where(here, sampled, self.tokens),
            tf.where(here[:, None], top.indices[:, None], self.top_ids),
            tf.where(here[:, None], (top.values - mass)[:, None], self.top),
        )
