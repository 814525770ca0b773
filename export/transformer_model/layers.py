"""The operations of a described Transformer's layers, in TensorFlow, on flat rows (rows, width).

A row is one token of one sequence.
"""

from functools import partial
from typing import Any, NamedTuple

import tensorflow as tf

from export.transformer_model.description import Attention, Experts, FeedForward, Norm
from export.transformer_model.quantized import QuantizedExperts, QuantizedMatrix
from export.transformer_model.rope import Rope
from export.transformer_model.weights import WeightScope


def silu(x: tf.Tensor) -> tf.Tensor:
    """Returns x * sigmoid(x).

    `tf.nn.silu` registers a gradient function, which keeps every graph that uses it in memory.
    """
    return x * tf.sigmoid(x)


ACTIVATIONS = {
    "gelu": partial(tf.nn.gelu, approximate=False),
    "gelu_tanh": partial(tf.nn.gelu, approximate=True),
    "relu": tf.nn.relu,
    "silu": silu,
}


class Rotation(NamedTuple):
    """The rotation of heads by their positions: head * cosines + (head with its halves swapped) * sines.

    Both are float32 (rows, 1, head_dim). Dimensions that are not rotated have cosine 1 and sine 0.
    """

    cosines: tf.Tensor
    sines: tf.Tensor
    """With the signs: negative for the first half of each pair."""
    pairs: int
    """How many pairs of dimensions are rotated."""


def rotation(rope: Rope, positions: tf.Tensor, head_dim: int) -> Rotation:
    """Returns the rotation of heads (rows, any, head_dim) at `positions` int32 (rows,)."""
    angles = tf.cast(positions, tf.float32)[:, None, None] * tf.constant(rope.frequencies, tf.float32)
    cosines, sines = tf.cos(angles) * rope.scale, tf.sin(angles) * rope.scale
    pairs = len(rope.frequencies)
    rest = [[0, 0], [0, 0], [0, head_dim - 2 * pairs]]
    return Rotation(
        tf.pad(tf.concat([cosines, cosines], -1), rest, constant_values=1.0),
        tf.pad(tf.concat([-sines, sines], -1), rest),
        pairs,
    )


def rotate(heads: tf.Tensor, by: Rotation) -> tf.Tensor:
    """Returns the rotated `heads` (rows, any, head_dim), in their dtype."""
    x = tf.cast(heads, tf.float32)
    first, second, rest = tf.split(x, [by.pairs, by.pairs, x.shape[-1] - 2 * by.pairs], axis=-1)
    swapped = tf.concat([second, first, rest] if rest.shape[-1] else [second, first], axis=-1)
    return tf.cast(x * by.cosines + swapped * by.sines, heads.dtype)


def norm(weights: WeightScope, norm: Norm, x: tf.Tensor) -> tf.Tensor:
    """Normalises the last axis, in float32; applies `scale` and `offset` where the model has them."""
    x = tf.cast(x, tf.float32)
    if norm.kind == "layer":
        x -= tf.reduce_mean(x, axis=-1, keepdims=True)
    x *= tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + norm.epsilon)
    scale, offset = weights.get("scale"), weights.get("offset")
    if scale is not None:
        x *= scale
    return x if offset is None else x + offset


def normalise_heads(weights: WeightScope, attention: Attention, heads: tf.Tensor) -> tf.Tensor:
    """Normalises queries and keys (rows, heads + kv_heads, head_dim); unchanged without `query_key_norm`."""
    if attention.query_key_norm is None:
        return heads
    parts = tf.split(heads, [attention.heads, attention.kv_heads], axis=1)
    scopes = weights.within("query_norm"), weights.within("key_norm")
    normed = [_head_norm(scope, attention, part) for scope, part in zip(scopes, parts, strict=True)]
    return tf.cast(tf.concat(normed, axis=1), heads.dtype)


def _head_norm(weights: WeightScope, attention: Attention, heads: tf.Tensor) -> tf.Tensor:
    """Normalises queries or keys; the scale is shared (head_dim,) or one per head (heads, head_dim)."""
    assert attention.query_key_norm is not None
    if not attention.whole_norm:
        return norm(weights, attention.query_key_norm, heads)
    count, head_dim = heads.shape[1:]
    flat = norm(weights, attention.query_key_norm, tf.reshape(heads, [-1, count * head_dim]))
    return tf.reshape(flat, [-1, count, head_dim])


def dense(weights: WeightScope, name: str, x: tf.Tensor) -> tf.Tensor:
    """Returns `x` times `<name>.kernel`, plus `<name>.bias` if there is one, in the kernel's dtype."""
    kernel, bias = weights[f"{name}.kernel"], weights.get(f"{name}.bias")
    if isinstance(kernel, QuantizedMatrix):
        return kernel.product(x, bias)
    product = tf.matmul(tf.cast(x, kernel.dtype), kernel)
    return product if bias is None else tf.nn.bias_add(product, bias)


def feed_forward(weights: WeightScope, kind: FeedForward, x: tf.Tensor) -> tf.Tensor:
    """Returns the feed-forward output (rows, model width) of `x` (rows, model width)."""
    inner = dense(weights, "inner", x)
    if not kind.gated:
        return dense(weights, "outer", ACTIVATIONS[kind.activation](inner))
    gate, up = tf.split(inner, 2, axis=-1)
    return dense(weights, "outer", ACTIVATIONS[kind.activation](gate) * up)


def experts(weights: WeightScope, kind: Experts, x: tf.Tensor) -> tf.Tensor:
    """Returns the sum of all experts' outputs, weighted by the router: by 0 for those not chosen.

    Float32 (rows, model width). All experts compute all rows.
    """
    shares = tf.nn.softmax(tf.cast(dense(weights, "router", x), tf.float32))
    chosen, ids = tf.math.top_k(shares, kind.chosen)  # (rows, chosen)
    if kind.renormalized:
        chosen /= tf.reduce_sum(chosen, axis=-1, keepdims=True)
    shares = tf.reduce_sum(tf.one_hot(ids, kind.count) * chosen[..., None], axis=1)  # (rows, experts)
    gate, up = tf.split(_expert_products(weights["inner.kernel"], x[None]), 2, axis=-1)
    fed = ACTIVATIONS[kind.activation](gate) * up
    each = _expert_products(weights["outer.kernel"], fed)  # (experts, rows, width)
    return tf.reduce_sum(tf.cast(each, tf.float32) * tf.transpose(shares)[..., None], axis=0)


def _expert_products(kernels: Any, x: tf.Tensor) -> tf.Tensor:
    """Returns each expert's product of `x` (experts or 1, rows, inputs) and its kernel."""
    if isinstance(kernels, QuantizedExperts):
        return kernels.products(x)
    return tf.matmul(tf.cast(x, kernels.dtype), kernels)


def embedded(table: Any, ids: tf.Tensor) -> tf.Tensor:
    """Returns the rows of the embedding at `ids`, in its dtype."""
    return table.rows(ids) if isinstance(table, QuantizedMatrix) else tf.gather(table, ids)


def scores(table: Any, bias: tf.Tensor | None, x: tf.Tensor) -> tf.Tensor:
    """Returns `x` times the transposed `table`, plus `bias` if there is one: float32 (rows, vocabulary)."""
    if isinstance(table, QuantizedMatrix):
        return tf.cast(table.product(x, bias), tf.float32)
    product = tf.matmul(tf.cast(x, table.dtype), table, transpose_b=True)
    return tf.cast(product if bias is None else tf.nn.bias_add(product, bias), tf.float32)


def soft_capped(x: tf.Tensor, cap: float | None) -> tf.Tensor:
    """Returns cap * tanh(x / cap), or `x` where there is no cap."""
    return x if cap is None else cap * tf.tanh(x / cap)


def split_heads(qkv: tf.Tensor, head_dim: int) -> tf.Tensor:
    """Reshapes (rows, width of queries | keys | values) to (rows, heads of all three, head_dim)."""
    return tf.reshape(qkv, [-1, qkv.shape[-1] // head_dim, head_dim])
