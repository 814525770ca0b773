"""Attention of a call's queries over blocks of keys and values.

Knows neither where these are kept nor where queries come from.
"""

from typing import NamedTuple, Protocol

import tensorflow as tf

from export.transformer_model.description import Alibi, Attention
from export.transformer_model.layers import soft_capped

LOW = -1e9
"""The score of a position that a token may not look at."""


class Block(Protocol):
    """One block of positions, of a call's rows."""

    def scores(self, queries: tf.Tensor) -> tf.Tensor:
        """(batch, kv_heads, steps, block_size) of `queries` (batch, kv_heads, steps, head_dim)."""

    def mixed(self, weights: tf.Tensor) -> tf.Tensor:
        """(batch, kv_heads, steps, head_dim): the values by their `weights`, shaped as the scores."""


class Whole(NamedTuple):
    """All rows have it; keys and values are (batch, kv_heads, block_size, head_dim)."""

    keys: tf.Tensor
    values: tf.Tensor

    def scores(self, queries: tf.Tensor) -> tf.Tensor:
        return tf.matmul(queries, self.keys, transpose_b=True)

    def mixed(self, weights: tf.Tensor) -> tf.Tensor:
        return tf.matmul(weights, self.values)


class Masks:
    """What is added to the scores of a call's queries: very low where a token may not look, else its bias."""

    def __init__(self, places: tf.Tensor, positions: tf.Tensor) -> None:
        """Queries stand at `places` (batch, steps), what they may look at at `positions` ([batch,] any)."""
        self._places = places[..., None]  # (batch, steps, 1)
        self._positions = positions[..., None, :]  # (1, any) or (batch, 1, any)
        self._made: dict[tuple[int | None, Alibi | None, int], tf.Tensor] = {}

    def of(self, attention: Attention) -> tf.Tensor:
        """(batch, 1, group * steps, any), or (batch, 1, 1, any) of one step; made once for like layers.

        With alibi, (batch, kv_heads, group * steps, any).
        """
        repeats = 1 if self._places.shape[1] == 1 else attention.group
        key = attention.window, attention.alibi, repeats
        if key not in self._made:
            biases = 0.0 if attention.alibi is None else self._biases(attention.alibi)
            mask = tf.where(self._seen(attention.window), biases, LOW)
            if attention.alibi is not None:
                mask = group(mask, attention)
            elif repeats > 1:
                mask = tf.tile(mask, [1, 1, repeats, 1])
            self._made[key] = mask
        return self._made[key]

    def _seen(self, window: int | None) -> tf.Tensor:
        """(batch, 1, steps, any)"""
        seen = self._positions <= self._places
        if window is not None:
            seen &= self._positions > self._places - window
        return seen[:, None]

    def _biases(self, alibi: Alibi) -> tf.Tensor:
        """([batch,] heads, 1, any)"""
        slopes = tf.constant(alibi.slopes, tf.bfloat16)[:, None, None]
        products = slopes * tf.cast(self._positions[..., None, :, :], tf.bfloat16)
        return tf.cast(products, tf.float32) * alibi.scale


def group(values: tf.Tensor, attention: Attention) -> tf.Tensor:
    """(batch, heads, steps, any) to (batch, kv_heads, group * steps, any)."""
    if attention.group == 1:
        return values
    batch, steps, size = (values.shape[axis] or tf.shape(values)[axis] for axis in (0, 2, 3))
    return tf.reshape(values, [batch, attention.kv_heads, attention.group * steps, size])


def ungroup(mixed: tf.Tensor, queries: tf.Tensor) -> tf.Tensor:
    """What `group` made of `queries`, shaped as these again."""
    if mixed.shape[1] == queries.shape[1]:
        return mixed
    return tf.ensure_shape(tf.reshape(mixed, tf.shape(queries)), queries.shape)


def attend(
    queries: tf.Tensor,  # (batch, kv_heads, group * steps, head_dim)
    blocks: list[Block],
    mask: tf.Tensor,  # (batch, 1, 1 or group * steps, positions)
    soft_cap: float | None = None,
) -> tf.Tensor:
    """Shaped as `queries`: softmax over the positions of all blocks, in float32."""
    scores = tf.cast(_joined([block.scores(queries) for block in blocks]), tf.float32)
    weights = tf.nn.softmax(soft_capped(scores, soft_cap) + mask)
    parts = _split(tf.cast(weights, queries.dtype), len(blocks))
    return tf.add_n([block.mixed(part) for block, part in zip(blocks, parts, strict=True)])


def _joined(parts: list[tf.Tensor]) -> tf.Tensor:
    return tf.concat(parts, -1) if len(parts) > 1 else parts[0]


def _split(weights: tf.Tensor, count: int) -> list[tf.Tensor]:
    return tf.split(weights, count, -1) if count > 1 else [weights]
