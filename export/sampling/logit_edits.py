"""Edits of single logits, in the graph: penalties, biases and bans, for the listed tokens only.

The decode loop edits logits with the same operations in the same order, so both give the same tokens.
"""

from typing import NamedTuple

import tensorflow as tf

from contract.names import NO_EDIT


class EditAmounts(NamedTuple):
    """By how much logits are edited, float32; the same at every step of a call."""

    bias: tf.Tensor  # (rows, edits): -inf bans the token
    presence: tf.Tensor  # (rows,)
    frequency: tf.Tensor  # (rows,)
    repetition: tf.Tensor  # (rows,)


class EditedTokens(NamedTuple):
    """The tokens whose logits are edited, with their counts: int32 (rows, edits)."""

    ids: tf.Tensor
    """Padded with NO_EDIT."""
    counts: tf.Tensor
    """How often the token has been generated; 0: it is in the prompt only; UNSEEN: in neither."""

    def counting(self, tokens: tf.Tensor) -> "EditedTokens":
        """Returns the counts after `tokens` (rows,) were generated; a negative id stands for no token.

        A token that is not listed takes a column of padding. Where none is left it is not counted.
        """
        return EditedTokens(
            *tf.cond(_has_columns(self.ids), lambda: self._counting(tokens), lambda: tuple(self))
        )

    def _counting(self, tokens: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        column = tokens[:, None]
        there = self.ids == column
        used = tf.reduce_sum(tf.cast(self.ids != NO_EDIT, tf.int32), axis=1, keepdims=True)
        is_new = ~tf.reduce_any(there, axis=1, keepdims=True) & (tf.range(tf.shape(self.ids)[1]) == used)
        here = (column >= 0) & (there | is_new)
        return tf.where(here, column, self.ids), tf.where(here, tf.maximum(self.counts, 0) + 1, self.counts)


def apply_edits(logits: tf.Tensor, edited: EditedTokens, amounts: EditAmounts) -> tf.Tensor:
    """Returns `logits` float32 (rows, vocabulary) with the edits."""
    return tf.cond(_has_columns(edited.ids), lambda: _apply_edits(logits, edited, amounts), lambda: logits)


def _apply_edits(logits: tf.Tensor, edited: EditedTokens, amounts: EditAmounts) -> tf.Tensor:
    real = edited.ids != NO_EDIT
    # Padding repeats the row's first token. If that is padding too, it writes token 0 unchanged.
    ids = tf.where(real, edited.ids, tf.maximum(edited.ids[:, :1], 0))
    values = _edited_values(tf.gather(logits, ids, batch_dims=1), edited.counts, amounts)
    values = tf.where(real, values, values[:, :1])
    rows = tf.broadcast_to(tf.range(tf.shape(ids)[0])[:, None], tf.shape(ids))
    return tf.tensor_scatter_nd_update(logits, tf.stack([rows, ids], axis=2), values)


def _edited_values(values: tf.Tensor, counts: tf.Tensor, amounts: EditAmounts) -> tf.Tensor:
    """Returns the edited logits of the listed tokens, (rows, edits)."""
    repetition = amounts.repetition[:, None]
    repeated = tf.where(values > 0, values / repetition, values * repetition)
    values = tf.where(counts >= 0, repeated, values) + amounts.bias
    values -= amounts.presence[:, None] * tf.cast(counts > 0, tf.float32)
    return values - amounts.frequency[:, None] * tf.cast(tf.maximum(counts, 0), tf.float32)


def _has_columns(ids: tf.Tensor) -> tf.Tensor:
    return tf.shape(ids)[1] > 0
