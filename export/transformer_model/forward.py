"""The forward pass of a described Transformer, over whatever keeps its keys and values.

The residual stream, norms and softmax are float32; matrices, keys and values have the dtype of the weights.
Tokens of all rows lie in one flat axis except inside attention, so that products and biases fuse. Knows
neither where keys and values are kept nor how a call is made.
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
from export.transformer_model.layers import Turns
from export.transformer_model.rope import Rope
from export.transformer_model.weights import Scope


class AttentionView(Protocol):
    """What a call sees of keys and values."""

    def attend(self, layer: int, attention: Attention, queries: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
        """(batch, heads, steps, head_dim) for `queries` of that shape, already scaled.

        `entries` (batch * steps, 2 * kv_heads, head_dim): keys, then values, of the same tokens.
        """


class Stack:
    """The layers; `x` is (batch * steps, width) float32 throughout.

    Weights are read once for a call: gathered and read apart, the embedding would be copied on every call.
    """

    def __init__(self, model: Transformer, weights: Mapping[str, Any]) -> None:
        self._model = model
        self._weights = Scope({name: tf.convert_to_tensor(value) for name, value in weights.items()})

    def logits(
        self, tokens: tf.Tensor, starts: tf.Tensor, places: tf.Tensor, view: AttentionView
    ) -> tf.Tensor:
        """Float32 (any, vocabulary) after the tokens at `places` (any,) among all batch * steps.

        Row i of `tokens` (batch, steps) stands at position `starts[i]` (batch,).
        """
        return self._head(tf.gather(self.hidden(tokens, starts, view), places))

    def hidden(self, tokens: tf.Tensor, starts: tf.Tensor, view: AttentionView) -> tf.Tensor:
        """The last layer's output."""
        steps = tokens.shape[1] or tf.shape(tokens)[1]
        positions = tf.reshape(starts[:, None] + tf.range(tf.shape(tokens)[1]), [-1])
        turns = {rope: layers.turns(rope, positions, self._model.head_dim) for rope in self._model.ropes}
        x = self._embed(tf.reshape(tokens, [-1]), positions)
        for i in range(len(self._model.layers)):
            x = self._layer(i, x, steps, turns, view)
        return x

    def _embed(self, tokens: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        """Padding past the context has the last position."""
        model, table = self._model, self._weights["embedding"]
        x = tf.gather(table, tokens)
        if model.embedding_scale != 1:
            x *= tf.constant(model.embedding_scale, table.dtype)
        if model.embedding_width is not None:
            x = layers.dense(self._weights, "input_projection", x)
        x = tf.cast(x, tf.float32)
        if model.learned_positions:
            places = tf.minimum(positions, model.context_length - 1)
            x += tf.cast(tf.gather(self._weights["positions"], places), tf.float32)
        return x

    def _layer(
        self, index: int, x: tf.Tensor, steps: int | tf.Tensor, turns: dict[Rope, Turns], view: AttentionView
    ) -> tf.Tensor:
        layer, own = self._model.layers[index], self._weights.within(f"layers.{index}")
        normed = self._normed(layer, own, ATTENTION_NORM, x)
        mixed = self._attend(index, normed, steps, turns, view)
        mixed = self._added(layer, own, ATTENTION_OUTPUT_NORM, mixed)
        if not layer.parallel:
            x = self._normed(layer, own, ATTENTION_SUM_NORM, x + mixed)
        if FEED_FORWARD_NORM in layer.norms or not layer.parallel:
            normed = self._normed(layer, own, FEED_FORWARD_NORM, x)
        fed = _feed_forward(layer, own, normed)
        if layer.parallel:
            x += mixed
        x += self._added(layer, own, FEED_FORWARD_OUTPUT_NORM, fed)
        return self._normed(layer, own, FEED_FORWARD_SUM_NORM, x)

    def _attend(
        self, index: int, x: tf.Tensor, steps: int | tf.Tensor, turns: dict[Rope, Turns], view: AttentionView
    ) -> tf.Tensor:
        attention = self._model.layers[index].attention
        own = self._weights.within(f"layers.{index}")
        heads = layers.split_heads(layers.dense(own, "qkv", x), attention.head_dim)
        queries, entries = heads[:, : attention.heads], heads[:, attention.heads :]
        if attention.query_key_norm is not None or attention.rope is not None:
            looking, values = heads[:, : -attention.kv_heads], heads[:, -attention.kv_heads :]
            looking = layers.head_norms(own, attention, looking)
            if attention.rope is not None:
                looking = layers.turned(looking, turns[attention.rope])
            queries = looking[:, : attention.heads]
            entries = tf.concat([looking[:, attention.heads :], values], axis=1)
        if attention.scale != 1:
            queries *= tf.constant(attention.scale, queries.dtype)
        mixed = view.attend(index, attention, layers.heads_first(queries, steps), entries)
        return layers.dense(own, "attention_output", layers.time_first(mixed, steps))

    def _normed(self, layer: Layer, own: Scope, name: str, x: tf.Tensor) -> tf.Tensor:
        return layers.norm(own.within(name), self._model.norm, x) if name in layer.norms else x

    def _added(self, layer: Layer, own: Scope, name: str, x: tf.Tensor) -> tf.Tensor:
        """What goes into the residual stream."""
        x = self._normed(layer, own, name, tf.cast(x, tf.float32))
        scale = self._model.residual_scale
        return x if scale == 1 else x * scale

    def _head(self, x: tf.Tensor) -> tf.Tensor:
        model = self._model
        table = self._weights["embedding" if model.tied else "head.kernel"]
        if model.final_norm:
            x = layers.norm(self._weights.within("final_norm"), model.norm, x)
        if model.embedding_width is not None:
            x = layers.dense(self._weights, "output_projection", x)
        product = tf.matmul(tf.cast(x, table.dtype), table, transpose_b=True)
        bias = self._weights.get("head.bias")
        logits = tf.cast(product if bias is None else tf.nn.bias_add(product, bias), tf.float32)
        if model.logit_scale != 1:
            logits *= model.logit_scale
        return layers.soft_capped(logits, model.logit_soft_cap)


def _feed_forward(layer: Layer, own: Scope, x: tf.Tensor) -> tf.Tensor:
    if isinstance(layer.feed_forward, Experts):
        return layers.experts(own, layer.feed_forward, x)
    return layers.feed_forward(own, layer.feed_forward, x)
