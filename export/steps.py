"""Several steps of decoding in one call: a loop in the graph that ends early once every row has ended.

Knows what a row may get and what ends it; knows no model.
"""

from typing import NamedTuple

import tensorflow as tf

from export.attention import Leading, View
from export.pool import Held, Pool
from export.sampling import Parameters, sample
from export.servable import Forward

NONE = -1
"""In the answer, where a row gets no token; in the stop tokens, padding."""


class Rows(NamedTuple):
    """Where slots 0, 1, ... stand; each tensor is int32 (rows,)."""

    tokens: tf.Tensor
    """Not yet in the pool."""
    positions: tf.Tensor
    """How many tokens are in the pool."""
    left: tf.Tensor
    """How many tokens the row may still get; it is out where there are none."""


class Step(NamedTuple):
    """What every step of a call does alike."""

    forward: Forward
    pool: Pool
    held: Held
    parameters: Parameters

    def next_tokens(self, rows: Rows, uniforms: tf.Tensor) -> tf.Tensor:
        """(rows,): one token for each row; those that are out get any, and leave the pool as it was."""
        count = tf.shape(rows.tokens)[0]
        lengths = tf.cast(rows.left > 0, tf.int32)
        view = View(self.pool, self.held, Leading(count), rows.positions, lengths, 1)
        logits = self.forward(rows.tokens[:, None], rows.positions, tf.range(count), view)
        return sample(logits, self.parameters, uniforms)


def run(step: Step, rows: Rows, stop_tokens: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """The rows' new tokens, int32 (rows, steps), NONE after each row's last."""
    steps = tf.shape(uniforms)[1]
    answer = tf.fill(tf.shape(uniforms), NONE)

    def more(i: tf.Tensor, rows: Rows, answer: tf.Tensor) -> tf.Tensor:  # noqa: ARG001
        return (i < steps) & tf.reduce_any(rows.left > 0)

    def body(i: tf.Tensor, rows: Rows, answer: tf.Tensor) -> tuple[tf.Tensor, Rows, tf.Tensor]:
        tokens = step.next_tokens(rows, uniforms[:, i])
        here = (rows.left > 0)[:, None] & (tf.range(steps) == i)
        return i + 1, advance(rows, tokens, stop_tokens), tf.where(here, tokens[:, None], answer)

    # One step at a time: a step that reads the pool while another writes it would copy all of it.
    return tf.while_loop(more, body, (0, rows, answer), parallel_iterations=1)[2]


def advance(rows: Rows, tokens: tf.Tensor, stop_tokens: tf.Tensor) -> Rows:
    """The rows after a step that gave `tokens` (rows,)."""
    inside = rows.left > 0
    stopped = tf.reduce_any(tokens[:, None] == stop_tokens, axis=1)
    return Rows(
        tokens=tf.where(inside, tokens, rows.tokens),
        positions=rows.positions + tf.cast(inside, tf.int32),
        left=tf.where(inside & ~stopped, rows.left - 1, 0),
    )
