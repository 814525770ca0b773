"""The new tokens of a call: a piece of each row's sequence, padded to one width, and as one flat axis.

Everything but attention works on the flat axis, which holds the real tokens alone, row after row.
"""

from typing import NamedTuple

import tensorflow as tf


class Pieces(NamedTuple):
    """Where the real tokens of padded pieces (batch, steps) are; all int32."""

    row: tf.Tensor
    """(tokens,): the row of each real token."""
    step: tf.Tensor
    """(tokens,): its place in the row."""
    ends: tf.Tensor
    """(batch,): the index on the flat axis after each row's last token."""
    grid: tf.Tensor | None
    """(batch, steps): the index of each token on the flat axis; padding repeats the row's last one. None:
    every row has one token, so that both axes are the same."""

    @staticmethod
    def of(tokens: tf.Tensor, lengths: tf.Tensor) -> "Pieces":
        """Returns the pieces in `tokens` (batch, steps), where row i has `lengths[i]` tokens."""
        if tokens.shape[1] == 1:
            return Pieces.single(tf.range(tf.shape(tokens)[0]))
        steps = tf.range(tf.shape(tokens)[1])
        real = tf.cast(tf.where(steps < lengths[:, None]), tf.int32)
        ends = tf.cumsum(lengths)
        grid = (ends - lengths)[:, None] + tf.minimum(steps, lengths[:, None] - 1)
        # A row without tokens would begin one token before the first, or after the last.
        grid = tf.clip_by_value(grid, 0, tf.maximum(ends[-1:] - 1, 0))
        return Pieces(real[:, 0], real[:, 1], ends, grid)

    @staticmethod
    def single(rows: tf.Tensor) -> "Pieces":
        """Returns pieces of one token each, in `rows`, which count from 0: int32 (batch,)."""
        return Pieces(rows, tf.zeros_like(rows), rows + 1, None)

    def positions(self, starts: tf.Tensor) -> tf.Tensor:
        """Returns the position of each real token, (tokens,), where row i begins at `starts[i]`."""
        if self.grid is None:
            return starts
        return tf.gather(starts, self.row) + self.step

    def flat(self, padded: tf.Tensor) -> tf.Tensor:
        """Returns the entries of `padded` (batch, steps, ...) for the real tokens: (tokens, ...)."""
        if self.grid is None:
            return padded[:, 0]
        batch, steps = tf.unstack(tf.shape(self.grid))
        joined = tf.reshape(padded, tf.concat([[batch * steps], tf.shape(padded)[2:]], axis=0))
        joined = tf.ensure_shape(joined, [None, *padded.shape[2:]])
        return tf.gather(joined, self.row * steps + self.step)

    def last(self, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the flat indices of each row's last `count` tokens, and which of them it has.

        Both are (count, batch). A row with fewer tokens repeats its last one.
        """
        lengths = self.ends - tf.concat([[0], self.ends[:-1]], axis=0)
        own, step = tf.minimum(lengths, count), tf.range(count)[:, None]
        return self.ends - own + tf.minimum(step, own - 1), step < own

    def heads_first(self, flat: tf.Tensor) -> tf.Tensor:
        """Returns `flat` (tokens, heads, head_dim) padded, as (batch, heads, steps, head_dim)."""
        if self.grid is None:
            return flat[:, :, None]
        return tf.transpose(tf.gather(flat, self.grid), [0, 2, 1, 3])

    def tokens_first(self, padded: tf.Tensor) -> tf.Tensor:
        """Returns `padded` (batch, heads, steps, head_dim) flat, as (tokens, heads * head_dim)."""
        _, heads, _, head_dim = padded.shape
        if self.grid is None:
            return tf.reshape(padded, [-1, heads * head_dim])
        return tf.reshape(self.flat(tf.transpose(padded, [0, 2, 1, 3])), [-1, heads * head_dim])
