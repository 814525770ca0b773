"""Several decode steps in one call: a loop in the graph, which stops early when every row is finished.

A row is finished when its budget is used up, after a stop token, or after FAILED logits.
"""

from typing import NamedTuple

import tensorflow as tf

from contract import names
from export.sampling.sampler import Sampler, SamplingProgress
from export.signatures.pool import ClaimedPool, PoolVariables
from export.signatures.pool_view import PoolView, leading_tokens
from export.signatures.servable import ResidentForward


class DecodeRows(NamedTuple):
    """The progress of a call's rows; each tensor is int32 (rows,)."""

    tokens: tf.Tensor
    """The last token, which is not yet in the state."""
    positions: tf.Tensor
    """How many tokens the state holds."""
    budget: tf.Tensor
    """How many more tokens the row may get; 0: it is finished."""

    @property
    def active(self) -> tf.Tensor:
        """Which rows get a token at the next step, bool (rows,)."""
        return self.budget > 0


class DecodeStep(NamedTuple):
    """One decode step of the resident layout; row i of the call is slot i."""

    forward: ResidentForward
    pool: PoolVariables
    claimed: ClaimedPool
    sampler: Sampler

    def logits(self, rows: DecodeRows) -> tf.Tensor:
        """Returns the logits of each row's next token, (rows, vocabulary); finished rows write nothing."""
        step = leading_tokens(self.pool, self.claimed, rows.positions, rows.active)
        every = tf.range(tf.size(rows.tokens))
        return self.forward(rows.tokens, rows.positions, every, PoolView(self.pool, step))


def begin(tokens: tf.Tensor, positions: tf.Tensor, budget: tf.Tensor, progress: tf.Tensor) -> DecodeRows:
    """Returns the rows of a call whose slots have `progress` int32 (rows, 2), as `pool.PROGRESS` says.

    The other inputs are those of `decode`: int32 (rows,). Fails where a row cannot be continued.
    """
    continued = (tokens == names.CONTINUE) & (budget > 0)
    last, held = tf.unstack(progress, axis=1)
    stopped = continued & (last == names.NO_TOKEN) & (held >= 0)
    in_turn = tf.debugging.assert_equal(
        tf.where(continued & ~stopped, held, positions), positions, "out of turn"
    )
    with tf.control_dependencies([in_turn]):
        return DecodeRows(
            tf.where(continued, tf.maximum(last, 0), tokens), positions, tf.where(stopped, 0, budget)
        )


def progress(ended: DecodeRows, sampled: SamplingProgress, stop_tokens: tf.Tensor) -> tf.Tensor:
    """Returns the progress of the slots after a call, int32 (rows, 2), as `pool.PROGRESS` says."""
    failed = tf.reduce_any(sampled.tokens == names.FAILED, axis=1)
    stopped = failed | tf.reduce_any(ended.tokens[:, None] == stop_tokens, axis=1)
    return tf.stack([tf.where(stopped, names.NO_TOKEN, ended.tokens), ended.positions], axis=1)


def run(step: DecodeStep, rows: DecodeRows, stop_tokens: tf.Tensor) -> tuple[DecodeRows, SamplingProgress]:
    """Runs `step` until every row is finished, at most as often as the sampler has steps.

    `stop_tokens` int32 (rows, any) end a row, and are padded with -1. Returns the rows at the end, and what
    was sampled.
    """
    sampler = step.sampler

    def more(i: tf.Tensor, rows: DecodeRows, progress: SamplingProgress) -> tf.Tensor:  # noqa: ARG001
        return (i < sampler.steps) & tf.reduce_any(rows.active)

    def body(
        i: tf.Tensor, rows: DecodeRows, progress: SamplingProgress
    ) -> tuple[tf.Tensor, DecodeRows, SamplingProgress]:
        tokens, progress = sampler.sample_step(step.logits(rows), i, rows.active, progress)
        return i + 1, advance(rows, tokens, stop_tokens), progress

    # One iteration at a time: a step that reads the pool while another writes it would copy the whole pool.
    ended: tuple[tf.Tensor, DecodeRows, SamplingProgress]
    ended = tf.while_loop(more, body, (0, rows, sampler.begin()), parallel_iterations=1)
    return ended[1:]


def advance(rows: DecodeRows, tokens: tf.Tensor, stop_tokens: tf.Tensor) -> DecodeRows:
    """Returns the rows after a step that sampled `tokens` (rows,); a row with a negative id is finished."""
    has_token = tokens >= 0
    stopped = tf.reduce_any(tokens[:, None] == stop_tokens, axis=1)
    return DecodeRows(
        tokens=tf.where(has_token, tokens, rows.tokens),
        positions=rows.positions + tf.cast(has_token, tf.int32),
        budget=tf.where(has_token & ~stopped, rows.budget - 1, 0),
    )
