"""GPT-2 over the pool of the resident layout: the weights of `gpt2`, arranged for few and fused operations.

Scale and offset of a norm, and the scale of the scores, are folded into the product that follows them. The
residual stream, norms and softmax are float32; matrices, keys and values are float32 or bfloat16.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from export.attention import View
from export.checkpoint import Weights
from export.gpt2 import ACTIVATIONS, Config
from export.pool import KINDS, Layout
from export.servable import Resident

BLOCK_SIZE = 128

FOLDED = {"attn.c_attn": "ln_1", "mlp.c_fc": "ln_2"}
"""The products that take the output of a norm."""


def model(config: Config, weights: Weights, dtype: str, block_size: int = BLOCK_SIZE) -> Resident:
    """The model over variables of its own."""
    blocks = -(-config.n_positions // block_size)
    layout = Layout(config.n_layer, config.n_head, config.head_dim, dtype, block_size, blocks)
    variables = {
        name: tf.Variable(tf.cast(value, _stored_dtype(name, dtype)))
        for name, value in fold(config, weights).items()
    }

    def forward(tokens: tf.Tensor, starts: tf.Tensor, places: tf.Tensor, view: View) -> tf.Tensor:
        # Read each variable once: gathered and read apart, the embedding would be copied on every call.
        read = {name: tf.convert_to_tensor(variable) for name, variable in variables.items()}
        return _Stack(config, read).logits(tokens, starts, places, view)

    return Resident(layout, forward)


def fold(config: Config, weights: Weights) -> Weights:
    """`weights` with each norm's scale and offset in the product after it, and a bias for the head."""
    folded = dict(weights)
    for i in range(config.n_layer):
        for product, norm in FOLDED.items():
            scale, offset = (folded.pop(f"h.{i}.{norm}.{part}") for part in ("weight", "bias"))
            kernel, bias = f"h.{i}.{product}.weight", f"h.{i}.{product}.bias"
            folded[bias] = weights[bias] + offset @ weights[kernel]
            folded[kernel] = weights[kernel] * scale[:, None]
        for name in (f"h.{i}.attn.c_attn.weight", f"h.{i}.attn.c_attn.bias"):
            queries, rest = np.split(folded[name], [config.n_embd], axis=-1)
            folded[name] = np.concatenate([queries * config.head_dim**-0.5, rest], axis=-1)
    # A product without a bias is not fused, and a fused one may keep its matrix packed.
    folded["head.bias"] = np.zeros(config.vocab_size, np.float32)
    return folded


def _stored_dtype(name: str, dtype: str) -> str:
    return "float32" if name.startswith("ln_f") else dtype


class _Stack:
    """The layers; `x` is (batch * steps, n_embd) float32 throughout."""

    def __init__(self, config: Config, weights: Mapping[str, Any]) -> None:
        self._config = config
        self._weights = weights

    def logits(self, tokens: tf.Tensor, starts: tf.Tensor, places: tf.Tensor, view: View) -> tf.Tensor:
        """As `Forward`."""
        steps = tokens.shape[1] or tf.shape(tokens)[1]
        x = self._embed(tokens, starts)
        for layer in range(self._config.n_layer):
            x += self._attend(layer, x, steps, view)
            x += self._feed_forward(layer, x)
        return self._head(tf.gather(x, places))

    def _embed(self, tokens: tf.Tensor, starts: tf.Tensor) -> tf.Tensor:
        """Padding past the context has the last position."""
        places = tf.minimum(starts[:, None] + tf.range(tf.shape(tokens)[1]), self._config.n_positions - 1)
        rows = [(self._weights["wte.weight"], tokens), (self._weights["wpe.weight"], places)]
        token, place = (tf.gather(table, tf.reshape(ids, [-1])) for table, ids in rows)
        return tf.cast(token, tf.float32) + tf.cast(place, tf.float32)

    def _attend(self, layer: int, x: tf.Tensor, steps: int | tf.Tensor, view: View) -> tf.Tensor:
        config = self._config
        qkv = self._dense(_normed(config, x), f"h.{layer}.attn.c_attn")
        split = tf.reshape(qkv, [-1, 1 + KINDS, config.n_head, config.head_dim])
        queries = _heads_first(split[:, 0], steps)
        mixed = _time_first(view.attend(layer, queries, split[:, 1:]), steps)
        return tf.cast(self._dense(mixed, f"h.{layer}.attn.c_proj"), tf.float32)

    def _feed_forward(self, layer: int, x: tf.Tensor) -> tf.Tensor:
        activation = ACTIVATIONS[self._config.activation_function]
        inner = activation(self._dense(_normed(self._config, x), f"h.{layer}.mlp.c_fc"))
        return tf.cast(self._dense(inner, f"h.{layer}.mlp.c_proj"), tf.float32)

    def _head(self, x: tf.Tensor) -> tf.Tensor:
        """Logits float32 (batch, vocabulary) of `x` (batch, n_embd)."""
        table = self._weights["wte.weight"]
        normed = _normed(self._config, x) * self._weights["ln_f.weight"] + self._weights["ln_f.bias"]
        product = tf.matmul(tf.cast(normed, table.dtype), table, transpose_b=True)
        return tf.cast(tf.nn.bias_add(product, self._weights["head.bias"]), tf.float32)

    def _dense(self, x: tf.Tensor, name: str) -> tf.Tensor:
        kernel, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return tf.nn.bias_add(tf.matmul(tf.cast(x, kernel.dtype), kernel), bias)


def _normed(config: Config, x: tf.Tensor) -> tf.Tensor:
    """Each row with mean 0 and variance 1."""
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
    return centred * tf.math.rsqrt(variance + config.layer_norm_epsilon)


def _heads_first(x: tf.Tensor, steps: int | tf.Tensor) -> tf.Tensor:
    """(batch * steps, heads, head_dim) to (batch, heads, steps, head_dim)."""
    heads, head_dim = x.shape[1:]
    if _one(steps):
        return x[:, :, None]
    return tf.transpose(tf.reshape(x, [-1, steps, heads, head_dim]), [0, 2, 1, 3])


def _time_first(x: tf.Tensor, steps: int | tf.Tensor) -> tf.Tensor:
    """(batch, heads, steps, head_dim) to (batch * steps, heads * head_dim)."""
    width = x.shape[1] * x.shape[3]
    return tf.reshape(x if _one(steps) else tf.transpose(x, [0, 2, 1, 3]), [-1, width])


def _one(steps: int | tf.Tensor) -> bool:
    """Whether it is known, as the graph is made, that there is one step: then axes need no exchange."""
    return isinstance(steps, int) and steps == 1
