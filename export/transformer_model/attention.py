"""Attention of a call's queries over blocks of keys and values.

Independent of where the blocks are kept and of how the queries were computed.
"""

from typing import NamedTuple, Protocol

import tensorflow as tf

from export.transformer_model.description import Alibi, Attention
from export.transformer_model.entries import Entries, key_scores, weighted_sum, weights_dtype
from export.transformer_model.layers import soft_capped

MASKED_SCORE = -1e9
"""Added to the score of a position that a token may not attend to."""


class KeyValueBlock(Protocol):
    """The keys and values of one block of positions, for the rows of a call."""

    @property
    def weights_dtype(self) -> tf.DType:
        """The dtype of the weights that `weighted_sum` takes."""

    def scores(self, queries: tf.Tensor) -> tf.Tensor:
        """Returns (batch, kv_heads, steps, block_size) for `queries` (batch, kv_heads, steps, head_dim)."""

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """Returns (batch, kv_heads, steps, head_dim): the values, summed by `weights` (as the scores)."""


class FullBlock(NamedTuple):
    """A block that every row has: keys and values (batch, kv_heads, block_size, head_dim)."""

    keys: Entries
    values: Entries

    @property
    def weights_dtype(self) -> tf.DType:
        """The dtype of weights, as `KeyValueBlock.weights_dtype`."""
        return weights_dtype(self.values)

    def scores(self, queries: tf.Tensor) -> tf.Tensor:
        """Returns the scores, as `KeyValueBlock.scores`."""
        return key_scores(queries, self.keys)

    def weighted_sum(self, weights: tf.Tensor) -> tf.Tensor:
        """Returns the weighted values, as `KeyValueBlock.weighted_sum`."""
        return weighted_sum(weights, self.values)


class AttentionMasks:
    """The masks of a call, which are added to scores: MASKED_SCORE or the bias of the position.

    Layers with the same window and bias share one mask.
    """

    def __init__(self, query_positions: tf.Tensor, key_positions: tf.Tensor) -> None:
        """Takes the positions of the queries (batch, steps) and of the keys ([batch,] keys)."""
        self._queries = query_positions[..., None]  # (batch, steps, 1)
        self._keys = key_positions[..., None, :]  # (1, keys) or (batch, 1, keys)
        self._made: dict[tuple[int | None, Alibi | None, int], tf.Tensor] = {}

    def mask_for(self, attention: Attention) -> tf.Tensor:
        """Returns (batch, 1, group_size * steps, keys), or (batch, 1, 1, keys) for a call of one step.

        With alibi, (batch, kv_heads, group_size * steps, keys).
        """
        repeats = 1 if self._queries.shape[1] == 1 else attention.group_size
        cache_key = attention.window, attention.alibi, repeats
        if cache_key not in self._made:
            biases = 0.0 if attention.alibi is None else self._biases(attention.alibi)
            mask = tf.where(self._visible(attention.window), biases, MASKED_SCORE)
            if attention.alibi is not None:
                mask = group_heads(mask, attention)
            elif repeats > 1:
                mask = tf.tile(mask, [1, 1, repeats, 1])
            self._made[cache_key] = mask
        return self._made[cache_key]

    def _visible(self, window: int | None) -> tf.Tensor:
        """Returns which keys each query may attend to, bool (batch, 1, steps, keys)."""
        visible = self._keys <= self._queries
        if window is not None:
            visible &= self._keys > self._queries - window
        return visible[:, None]

    def _biases(self, alibi: Alibi) -> tf.Tensor:
        """Returns the biases, float32 ([batch,] heads, 1, keys)."""
        slopes = tf.constant(alibi.slopes, tf.bfloat16)[:, None, None]
        products = slopes * tf.cast(self._keys[..., None, :, :], tf.bfloat16)
        return tf.cast(products, tf.float32) * alibi.scale


def group_heads(values: tf.Tensor, attention: Attention) -> tf.Tensor:
    """Reshapes (batch, heads, steps, size) to (batch, kv_heads, group_size * steps, size)."""
    if attention.group_size == 1:
        return values
    batch, steps, size = (values.shape[axis] or tf.shape(values)[axis] for axis in (0, 2, 3))
    return tf.reshape(values, [batch, attention.kv_heads, attention.group_size * steps, size])


def ungroup_heads(attended: tf.Tensor, queries: tf.Tensor) -> tf.Tensor:
    """Undoes `group_heads`: reshapes `attended` to the shape of the ungrouped `queries`."""
    if attended.shape[1] == queries.shape[1]:
        return attended
    return tf.ensure_shape(tf.reshape(attended, tf.shape(queries)), queries.shape)


def attend(
    queries: tf.Tensor,  # (batch, kv_heads, group_size * steps, head_dim)
    blocks: list[KeyValueBlock],
    mask: tf.Tensor,  # (batch, 1, 1 or group_size * steps, positions)
    soft_cap: float | None = None,
) -> tf.Tensor:
    """Returns the attention output, shaped as `queries`; the softmax is over all blocks, in float32.

    The output has the dtype of the weights that the blocks take.
    """
    scores = tf.cast(joined([block.scores(queries) for block in blocks], -1), tf.float32)
    weights = tf.nn.softmax(soft_capped(scores, soft_cap) + mask)
    parts = _split(tf.cast(weights, blocks[0].weights_dtype), len(blocks))
    return tf.add_n([block.weighted_sum(part) for block, part in zip(blocks, parts, strict=True)])


def joined(parts: list[tf.Tensor], axis: int) -> tf.Tensor:
    """Returns the concatenation of `parts`; a single one as it is, without an operation."""
    return tf.concat(parts, axis) if len(parts) > 1 else parts[0]


def _split(weights: tf.Tensor, count: int) -> list[tf.Tensor]:
    return tf.split(weights, count, -1) if count > 1 else [weights]
