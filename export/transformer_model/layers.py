"""The parts of a described Transformer's layers, as TensorFlow operations on flat rows (any, width)."""

from functools import partial
from typing import NamedTuple

import tensorflow as tf

from export.transformer_model.description import Attention, Experts, FeedForward, Norm
from export.transformer_model.rope import Rope
from export.transformer_model.weights import Scope


def silu(x: tf.Tensor) -> tf.Tensor:
    """TensorFlow's own has a gradient registered, which would keep every graph that it is in."""
    return x * tf.sigmoid(x)


ACTIVATIONS = {
    "gelu": partial(tf.nn.gelu, approximate=False),
    "gelu_tanh": partial(tf.nn.gelu, approximate=True),
    "relu": tf.nn.relu,
    "silu": silu,
}


class Turns(NamedTuple):
    """By what a head is multiplied, and by what the head with its halves exchanged, to turn it.

    Each (rows, 1, head_dim) float32; the dimensions that do not turn are multiplied by 1, and by 0.
    """

    cosines: tf.Tensor
    sines: tf.Tensor
    pairs: int


def turns(rope: Rope, positions: tf.Tensor, head_dim: int) -> Turns:
    """At `positions` (rows,)."""
    angles = tf.cast(positions, tf.float32)[:, None, None] * tf.constant(rope.frequencies, tf.float32)
    cosines, sines = tf.cos(angles) * rope.scale, tf.sin(angles) * rope.scale
    pairs = len(rope.frequencies)
    rest = [[0, 0], [0, 0], [0, head_dim - 2 * pairs]]
    return Turns(
        tf.pad(tf.concat([cosines, cosines], -1), rest, constant_values=1.0),
        tf.pad(tf.concat([-sines, sines], -1), rest),
        pairs,
    )


def turned(heads: tf.Tensor, by: Turns) -> tf.Tensor:
    """`heads` (rows, any, head_dim), turned."""
    x = tf.cast(heads, tf.float32)
    one, other, rest = tf.split(x, [by.pairs, by.pairs, x.shape[-1] - 2 * by.pairs], axis=-1)
    exchanged = tf.concat([other, one, rest] if rest.shape[-1] else [other, one], axis=-1)
    return tf.cast(x * by.cosines + exchanged * by.sines, heads.dtype)


def norm(own: Scope, kind: Norm, x: tf.Tensor) -> tf.Tensor:
    """Of the last axis, in float32; with scale and offset as far as there are any."""
    x = tf.cast(x, tf.float32)
    if kind.kind == "layer":
        x -= tf.reduce_mean(x, axis=-1, keepdims=True)
    x *= tf.math.rsqrt(tf.reduce_mean(tf.square(x), axis=-1, keepdims=True) + kind.epsilon)
    scale, offset = own.get("scale"), own.get("offset")
    if scale is not None:
        x *= scale
    return x if offset is None else x + offset


def head_norms(own: Scope, attention: Attention, heads: tf.Tensor) -> tf.Tensor:
    """Of queries and keys (rows, heads + kv_heads, head_dim), as far as they have norms."""
    if attention.query_key_norm is None:
        return heads
    parts = tf.split(heads, [attention.heads, attention.kv_heads], axis=1)
    scopes = own.within("query_norm"), own.within("key_norm")
    normed = [_head_norm(scope, attention, part) for scope, part in zip(scopes, parts, strict=True)]
    return tf.cast(tf.concat(normed, axis=1), heads.dtype)


def _head_norm(own: Scope, attention: Attention, heads: tf.Tensor) -> tf.Tensor:
    """The scale may be one for all heads (head_dim,), or each head's (heads, head_dim)."""
    assert attention.query_key_norm is not None
    if not attention.whole_norm:
        return norm(own, attention.query_key_norm, heads)
    count, head_dim = heads.shape[1:]
    flat = norm(own, attention.query_key_norm, tf.reshape(heads, [-1, count * head_dim]))
    return tf.reshape(flat, [-1, count, head_dim])


def dense(own: Scope, name: str, x: tf.Tensor) -> tf.Tensor:
    """The product with `<name>.kernel`, in the kernel's dtype, and its bias."""
    kernel, bias = own[f"{name}.kernel"], own.get(f"{name}.bias")
    product = tf.matmul(tf.cast(x, kernel.dtype), kernel)
    return product if bias is None else tf.nn.bias_add(product, bias)


def feed_forward(own: Scope, kind: FeedForward, x: tf.Tensor) -> tf.Tensor:
    inner = dense(own, "inner", x)
    if not kind.gated:
        return dense(own, "outer", ACTIVATIONS[kind.activation](inner))
    gate, up = tf.split(inner, 2, axis=-1)
    return dense(own, "outer", ACTIVATIONS[kind.activation](gate) * up)


def experts(own: Scope, kind: Experts, x: tf.Tensor) -> tf.Tensor:
    """Every expert's answer, by the router's weights, which are 0 for those that are not chosen."""
    shares = tf.nn.softmax(tf.cast(dense(own, "router", x), tf.float32))
    chosen, ids = tf.math.top_k(shares, kind.chosen)  # (rows, chosen)
    if kind.renormalized:
        chosen /= tf.reduce_sum(chosen, axis=-1, keepdims=True)
    shares = tf.reduce_sum(tf.one_hot(ids, kind.count) * chosen[..., None], axis=1)  # (rows, experts)
    inner, outer = own["inner.kernel"], own["outer.kernel"]
    gate, up = tf.split(tf.matmul(tf.cast(x, inner.dtype)[None], inner), 2, axis=-1)
    each = tf.matmul(ACTIVATIONS[kind.activation](gate) * up, outer)  # (experts, rows, width)
    return tf.reduce_sum(tf.cast(each, tf.float32) * tf.transpose(shares)[..., None], axis=0)


def soft_capped(x: tf.Tensor, cap: float | None) -> tf.Tensor:
    return x if cap is None else cap * tf.tanh(x / cap)


def split_heads(qkv: tf.Tensor, head_dim: int) -> tf.Tensor:
    """(rows, widths) to (rows, queries' | keys' | values' heads, head_dim)."""
    return tf.reshape(qkv, [-1, qkv.shape[-1] // head_dim, head_dim])


def heads_first(x: tf.Tensor, steps: int | tf.Tensor) -> tf.Tensor:
    """(batch * steps, heads, head_dim) to (batch, heads, steps, head_dim)."""
    heads, head_dim = x.shape[1:]
    if one_step(steps):
        return x[:, :, None]
    return tf.transpose(tf.reshape(x, [-1, steps, heads, head_dim]), [0, 2, 1, 3])


def time_first(x: tf.Tensor, steps: int | tf.Tensor) -> tf.Tensor:
    """(batch, heads, steps, head_dim) to (batch * steps, heads * head_dim)."""
    width = x.shape[1] * x.shape[3]
    return tf.reshape(x if one_step(steps) else tf.transpose(x, [0, 2, 1, 3]), [-1, width])


def one_step(steps: int | tf.Tensor) -> bool:
    """Whether it is known, as the graph is made, that there is one step: then axes need no exchange."""
    return isinstance(steps, int) and steps == 1
