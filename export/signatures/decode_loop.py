"""Several steps of decoding in one call: a loop in the graph that ends early once every row has ended.

Knows what a row may get and what ends it; knows no model.
"""

from typing import NamedTuple

import tensorflow as tf

from export.sampling.sampler import Sampler, SamplingProgress
from export.signatures.pool import Held, PoolVariables
from export.signatures.pool_view import Leading, PoolView
from export.signatures.servable import Forward


class DecodeRows(NamedTuple):
    """Where slots 0, 1, ... stand; each tensor is int32 (rows,)."""

    tokens: tf.Tensor
    """Not yet in the pool."""
    positions: tf.Tensor
    """How many tokens are in the pool."""
    left: tf.Tensor
    """How many tokens the row may still get; it is out where there are none."""


class DecodeStep(NamedTuple):
    """What every step of a call does alike."""

    forward: Forward
    pool: PoolVariables
    held: Held
    sampler: Sampler

    def logits(self, rows: DecodeRows) -> tf.Tensor:
        """(rows, vocabulary): for each row's next token; those that are out leave the pool as it was."""
        count = tf.shape(rows.tokens)[0]
        lengths = tf.cast(rows.left > 0, tf.int32)
        view = PoolView(self.pool, self.held, Leading(count), rows.positions, lengths, 1)
        return self.forward(rows.tokens[:, None], rows.positions, tf.range(count), view)


def run(step: DecodeStep, rows: DecodeRows, stop_tokens: tf.Tensor) -> SamplingProgress:
    """As many steps as the sampler has numbers for, or as it takes until every row is out."""
    sampler = step.sampler

    def more(i: tf.Tensor, rows: DecodeRows, progress: SamplingProgress) -> tf.Tensor:  # noqa: ARG001
        return (i < sampler.steps) & tf.reduce_any(rows.left > 0)

    def body(
        i: tf.Tensor, rows: DecodeRows, progress: SamplingProgress
    ) -> tuple[tf.Tensor, DecodeRows, SamplingProgress]:
        tokens, progress = sampler.sample_step(step.logits(rows), i, rows.left > 0, progress)
        return i + 1, advance(rows, tokens, stop_tokens), progress

    # One step at a time: a step that reads the pool while another writes it would copy all of it.
    ended: tuple[tf.Tensor, DecodeRows, SamplingProgress]
    ended = tf.while_loop(more, body, (0, rows, sampler.begin()), parallel_iterations=1)
    return ended[2]


def advance(rows: DecodeRows, tokens: tf.Tensor, stop_tokens: tf.Tensor) -> DecodeRows:
    """The rows after a step that gave `tokens` (rows,); a row that got none is out."""
    inside = tokens >= 0
    stopped = tf.reduce_any(tokens[:, None] == stop_tokens, axis=1)
    return DecodeRows(
        tokens=tf.where(inside, tokens, rows.tokens),
        positions=rows.positions + tf.cast(inside, tf.int32),
        left=tf.where(inside & ~stopped, rows.left - 1, 0),
    )
