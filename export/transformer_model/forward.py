"""The forward pass of a described Transformer, in TensorFlow.

Keys and values are reached through an `AttentionView`, which each state layout implements. The residual
stream, norms and softmax are float32; matrices, keys and values have the dtype of the weights. The tokens of
all rows form one flat axis, except inside attention: no padding is computed, and TensorFlow can fuse products
and biases.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import tensorflow as tf

from export.transformer_model import layers
from export.transformer_model.description import (
    ATTENTION_NORM,
    ATTENTION_OUTPUT_NORM,
    ATTENTION_SUM_NORM,
    FEED_FORWARD_NORM,
    FEED_FORWARD_OUTPUT_NORM,
    FEED_FORWARD_SUM_NORM,
    Attention,
    Experts,
    Layer,
    Transformer,
)
from export.transformer_model.layers import Rotation
from export.transformer_model.quantized import read
from export.transformer_model.rope import Rope
from export.transformer_model.weights import WeightScope


class AttentionView(Protocol):
    """The keys and values that the rows of one call attend to."""

    def attend(self, layer: int, attention: Attention, queries: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        """Returns the attention output (tokens, heads * head_dim).

        `queries` (tokens, heads, head_dim) are scaled. Also keeps `entries` (tokens, 2 * kv_heads, head_dim):
        the keys, then the values, of the call's own tokens, which the queries attend to as well.
        """


class ForwardPass:
    """The forward pass of one call; the residual stream `x` is float32 (tokens, width) throughout.

    Each weight is read once per call: an embedding that is read once for the gather and once for the head
    would be copied on every call.
    """

    def __init__(self, model: Transformer, weights: Mapping[str, Any]) -> None:
        self._model = model
        self._weights = WeightScope({name: read(value) for name, value in weights.items()})

    def logits(
        self, tokens: tf.Tensor, positions: tf.Tensor, indices: tf.Tensor, view: AttentionView
    ) -> tf.Tensor:
        """Returns the logits after the tokens at `indices` int32 (selected,): float32 (selected, vocabulary).

        `tokens` and their `positions` are int32 (tokens,), of all rows.
        """
        return self._head(tf.gather(self.hidden(tokens, positions, view), indices))

    def hidden(self, tokens: tf.Tensor, positions: tf.Tensor, view: AttentionView) -> tf.Tensor:
        """Returns the output of the last layer, float32 (tokens, width)."""
        rotations = {
            rope: layers.rotation(rope, positions, self._model.head_dim) for rope in self._model.ropes
        }
        x = self._embed(tokens, positions)
        for i in range(len(self._model.layers)):
            x = self._layer(i, x, rotations, view)
        return x

    def _embed(self, tokens: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Returns the input of the first layer; padding beyond the context takes the last position."""
        model, table = self._model, self._weights["embedding"]
        x = layers.embedded(table, tokens)
        if model.embedding_scale != 1:
            x *= tf.constant(model.embedding_scale, table.dtype)
        if model.embedding_width is not None:
            x = layers.dense(self._weights, "input_projection", x)
        x = tf.cast(x, tf.float32)
        if model.learned_positions:
            known = tf.minimum(positions, model.context_length - 1)
            x += tf.cast(tf.gather(self._weights["positions"], known), tf.float32)
        return x

    def _layer(
        self,
        index: int,
        x: tf.Tensor,
        rotations: dict[Rope, Rotation],
        view: AttentionView,
    ) -> tf.Tensor:
        layer, weights = self._model.layers[index], self._weights.within(f"layers.{index}")
        normed = self._normed(layer, weights, ATTENTION_NORM, x)
        attended = self._attend(index, normed, rotations, view)
        attended = self._addend(layer, weights, ATTENTION_OUTPUT_NORM, attended)
        if not layer.parallel:
            x = self._normed(layer, weights, ATTENTION_SUM_NORM, x + attended)
        if FEED_FORWARD_NORM in layer.norms or not layer.parallel:
            normed = self._normed(layer, weights, FEED_FORWARD_NORM, x)
        fed = _feed_forward(layer, weights, normed)
        if layer.parallel:
            x += attended
        x += self._addend(layer, weights, FEED_FORWARD_OUTPUT_NORM, fed)
        return self._normed(layer, weights, FEED_FORWARD_SUM_NORM, x)

    def _attend(
        self,
        index: int,
        x: tf.Tensor,
        rotations: dict[Rope, Rotation],
        view: AttentionView,
    ) -> tf.Tensor:
        attention = self._model.layers[index].attention
        weights = self._weights.within(f"layers.{index}")
        heads = layers.split_heads(layers.dense(weights, "qkv", x), attention.head_dim)
        queries, entries = heads[:, : attention.heads], heads[:, attention.heads :]
        if attention.query_key_norm is not None or attention.rope is not None:
            compared, values = heads[:, : -attention.kv_heads], heads[:, -attention.kv_heads :]
            compared = layers.normalise_heads(weights, attention, compared)
            if attention.rope is not None:
                compared = layers.rotate(compared, rotations[attention.rope])
            queries = compared[:, : attention.heads]
            entries = tf.concat([compared[:, attention.heads :], values], axis=1)
        if attention.scale != 1:
            queries *= tf.constant(attention.scale, queries.dtype)
        return layers.dense(weights, "attention_output", view.attend(index, attention, queries, entries))

    def _normed(self, layer: Layer, weights: WeightScope, name: str, x: tf.Tensor) -> tf.Tensor:
        """Applies the norm `name` if the layer has it."""
        return layers.norm(weights.within(name), self._model.norm, x) if name in layer.norms else x

    def _addend(self, layer: Layer, weights: WeightScope, name: str, x: tf.Tensor) -> tf.Tensor:
        """Returns what is added to the residual stream: `x`, normalised by `name` and scaled."""
        x = self._normed(layer, weights, name, tf.cast(x, tf.float32))
        scale = self._model.residual_scale
        return x if scale == 1 else x * scale

    def _head(self, x: tf.Tensor) -> tf.Tensor:
        """Returns the logits, float32 (rows, vocabulary)."""
        model = self._model
        table = self._weights["embedding" if model.tied else "head.kernel"]
        if model.final_norm:
            x = layers.norm(self._weights.within("final_norm"), model.norm, x)
        if model.embedding_width is not None:
            x = layers.dense(self._weights, "output_projection", x)
        logits = layers.scores(table, self._weights.get("head.bias"), x)
        if model.logit_scale != 1:
            logits *= model.logit_scale
        return layers.soft_capped(logits, model.logit_soft_cap)


def _feed_forward(layer: Layer, weights: WeightScope, x: tf.Tensor) -> tf.Tensor:
    if isinstance(layer.feed_forward, Experts):
        return layers.experts(weights, layer.feed_forward, x)
    return layers.feed_forward(weights, layer.feed_forward, x)
