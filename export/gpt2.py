"""GPT-2: from a Hugging Face checkpoint to the `step` signature with explicit past keys and values.

The residual stream, norms and softmax are float32; matrices, keys and values are float32 or bfloat16.
Tokens of all rows lie in one flat axis except inside attention, so that products and biases fuse.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

from contract.manifest import StateTensor
from export.checkpoint import Checkpoint, Weights
from export.errors import SourceError, UnsupportedError
from export.reference import gpt2 as plain
from export.servable import Reference, Step

MODEL_TYPE = "gpt2"
DTYPES = ("float32", "bfloat16")

ACTIVATIONS = {
    "gelu_new": partial(tf.nn.gelu, approximate=True),
    "gelu_pytorch_tanh": partial(tf.nn.gelu, approximate=True),
    "gelu": partial(tf.nn.gelu, approximate=False),
    "relu": tf.nn.relu,
}

# Settings that change what the model computes, and the only value implemented.
REQUIRED_SETTINGS = {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}

# Buffers of older checkpoints, and the head that is tied to the embedding.
NOT_WEIGHTS = (".attn.bias", ".attn.masked_bias", "lm_head.weight")


@dataclass(frozen=True)
class Config:
    """The shape of one GPT-2."""

    vocab_size: int
    n_positions: int
    n_embd: int
    n_layer: int
    n_head: int
    n_inner: int
    layer_norm_epsilon: float = 1e-5
    activation_function: str = "gelu_new"

    @property
    def head_dim(self) -> int:
        return self.n_embd // self.n_head

    @property
    def context_length(self) -> int:
        return self.n_positions


def read_config(checkpoint: Checkpoint) -> Config:
    """UnsupportedError for a setting that would change the result and is not implemented."""
    raw = checkpoint.config
    for key, value in REQUIRED_SETTINGS.items():
        if raw.get(key, value) != value:
            raise UnsupportedError(f"{key} = {raw[key]!r} is not implemented; it must be {value!r}")
    activation = raw.get("activation_function", "gelu_new")
    if activation not in ACTIVATIONS:
        supported = ", ".join(ACTIVATIONS)
        raise UnsupportedError(
            f"activation_function = {activation!r} is not implemented; supported: {supported}"
        )
    sizes = {
        key: checkpoint.size(key) for key in ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
    }
    if sizes["n_embd"] % sizes["n_head"]:
        raise SourceError(f"n_embd = {sizes['n_embd']} is not a multiple of n_head = {sizes['n_head']}")
    return Config(
        **sizes,
        n_inner=raw.get("n_inner") or 4 * sizes["n_embd"],
        layer_norm_epsilon=float(raw.get("layer_norm_epsilon", 1e-5)),
        activation_function=activation,
    )


def read_weights(checkpoint: Checkpoint, config: Config) -> Weights:
    return checkpoint.weights(shapes(config), prefix="transformer.", ignored=NOT_WEIGHTS)


def state(config: Config, dtype: str) -> tuple[StateTensor, ...]:
    """Time-major keys and values, and how many tokens the session has seen."""
    shape = (0, config.n_layer, config.n_head, config.head_dim)
    return (
        StateTensor("position", "int32", ()),
        StateTensor("past_keys", dtype, shape, growth_axis=0),
        StateTensor("past_values", dtype, shape, growth_axis=0),
    )


def reference(config: Config, weights: Weights) -> Reference:
    return partial(plain.logits, config, weights)


def step(config: Config, weights: Weights, dtype: str) -> Step:
    """The `step` function over variables of its own."""
    variables = {
        name: tf.Variable(tf.cast(value, stored_dtype(name, dtype))) for name, value in weights.items()
    }

    def run(
        tokens: tf.Tensor,  # (batch, steps)
        lengths: tf.Tensor,  # (batch,)
        position: tf.Tensor,  # (batch,)
        past_keys: tf.Tensor,  # (batch, past, layers, heads, head_dim)
        past_values: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        # Read each variable once: gathered and read apart, the embedding would be copied on every call.
        read = {name: tf.convert_to_tensor(variable) for name, variable in variables.items()}
        x, keys, values = hidden(config, read, tokens, position, past_keys, past_values)
        last = tf.range(tf.shape(tokens)[0]) * tf.shape(tokens)[1] + lengths - 1
        return {
            "logits": head(config, read, tf.gather(x, last)),
            "position": position + lengths,
            "past_keys": keys,
            "past_values": values,
        }

    return run


def stored_dtype(name: str, dtype: str) -> str:
    """Norms are float32; what enters matrix products, and is added to them, has `dtype`."""
    return "float32" if ".ln_" in name or name.startswith("ln_f") else dtype


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Every tensor of a checkpoint by its name there (without `transformer.`), and its shape."""
    d, inner = config.n_embd, config.n_inner
    block: dict[str, tuple[int, ...]] = {
        "ln_1.weight": (d,),
        "ln_1.bias": (d,),
        "attn.c_attn.weight": (d, 3 * d),
        "attn.c_attn.bias": (3 * d,),
        "attn.c_proj.weight": (d, d),
        "attn.c_proj.bias": (d,),
        "ln_2.weight": (d,),
        "ln_2.bias": (d,),
        "mlp.c_fc.weight": (d, inner),
        "mlp.c_fc.bias": (inner,),
        "mlp.c_proj.weight": (inner, d),
        "mlp.c_proj.bias": (d,),
    }
    blocks = {f"h.{i}.{name}": shape for i in range(config.n_layer) for name, shape in block.items()}
    ends: dict[str, tuple[int, ...]] = {
        "wte.weight": (config.vocab_size, d),
        "wpe.weight": (config.n_positions, d),
        "ln_f.weight": (d,),
        "ln_f.bias": (d,),
    }
    return ends | blocks


def hidden(
    config: Config,
    weights: Mapping[str, Any],
    tokens: tf.Tensor,  # (batch, steps)
    position: tf.Tensor,  # (batch,)
    past_keys: tf.Tensor,  # (batch, past, layers, heads, head_dim)
    past_values: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The last layer's output (batch * steps, n_embd), and the new keys and values."""
    batch, steps = tf.unstack(tf.shape(tokens))
    old_keys = _by_layer(past_keys, config)
    old_values = _by_layer(past_values, config)
    mask = _mask(position, tf.shape(past_keys)[1], steps)
    x = _embed(config, weights, tokens, position)
    keys, values = [], []
    for i in range(config.n_layer):
        layer = _Layer(config, weights, i, batch, steps)
        x, k, v = layer.attend(x, old_keys[i], old_values[i], mask)
        x = layer.feed_forward(x)
        keys.append(k)
        values.append(v)
    return x, _new_entries(keys), _new_entries(values)


def head(config: Config, weights: Mapping[str, Any], x: tf.Tensor) -> tf.Tensor:
    """Logits float32 (rows, vocabulary) of `x` (rows, n_embd)."""
    table = weights["wte.weight"]
    normed = tf.cast(_norm(config, weights, "ln_f", x), table.dtype)
    return tf.cast(tf.matmul(normed, table, transpose_b=True), tf.float32)


def _embed(config: Config, weights: Mapping[str, Any], tokens: tf.Tensor, position: tf.Tensor) -> tf.Tensor:
    """(batch * steps, n_embd) float32; padding past the context has the last position."""
    places = position[:, None] + tf.range(tf.shape(tokens)[1])
    places = tf.minimum(places, config.n_positions - 1)
    x = tf.gather(weights["wte.weight"], tf.reshape(tokens, [-1]))
    return tf.cast(x, tf.float32) + tf.cast(
        tf.gather(weights["wpe.weight"], tf.reshape(places, [-1])), tf.float32
    )


def _mask(position: tf.Tensor, past: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """What is added to the scores: (batch, 1, steps, past + steps), very low where a token may not look."""
    old = tf.range(past)[None, None, None, :] < position[:, None, None, None]  # (batch, 1, 1, past)
    new = tf.range(steps)[None, :] <= tf.range(steps)[:, None]  # (steps, steps)
    batch = tf.shape(position)[0]
    seen = [tf.broadcast_to(part, [batch, 1, steps, size]) for part, size in ((old, past), (new, steps))]
    return tf.where(tf.concat(seen, 3), 0.0, -1e9)


def _by_layer(past: tf.Tensor, config: Config) -> list[tf.Tensor]:
    """(batch, past, layers, heads, head_dim) to (batch, heads, past, head_dim) for each layer."""
    layers: list[tf.Tensor] = tf.unstack(tf.transpose(past, [2, 0, 3, 1, 4]), num=config.n_layer)
    return layers


def _new_entries(layers: list[tf.Tensor]) -> tf.Tensor:
    """For each layer (batch, heads, steps, head_dim) to (batch, steps, layers, heads, head_dim)."""
    return tf.transpose(tf.stack(layers), [1, 3, 0, 2, 4])


class _Layer:
    """One block of the stack; `x` is (batch * steps, n_embd) throughout."""

    def __init__(
        self, config: Config, weights: Mapping[str, Any], index: int, batch: tf.Tensor, steps: tf.Tensor
    ) -> None:
        self._config = config
        self._weights = weights
        self._prefix = f"h.{index}"
        self._batch = batch
        self._steps = steps

    def attend(
        self,
        x: tf.Tensor,
        old_keys: tf.Tensor,  # (batch, heads, past, head_dim)
        old_values: tf.Tensor,
        mask: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`x` after attention, and the new keys and values (batch, heads, steps, head_dim)."""
        config = self._config
        q, k, v = self._heads(self._dense(self._norm(x, "ln_1"), "attn.c_attn"))
        keys, values = tf.concat([old_keys, k], 2), tf.concat([old_values, v], 2)
        scores = tf.cast(tf.matmul(q, keys, transpose_b=True), tf.float32) * config.head_dim**-0.5
        weights = tf.cast(tf.nn.softmax(scores + mask), v.dtype)
        mixed = tf.transpose(tf.matmul(weights, values), [0, 2, 1, 3])
        mixed = self._dense(tf.reshape(mixed, [-1, config.n_embd]), "attn.c_proj")
        return x + tf.cast(mixed, tf.float32), k, v

    def feed_forward(self, x: tf.Tensor) -> tf.Tensor:
        activation = ACTIVATIONS[self._config.activation_function]
        inner = activation(self._dense(self._norm(x, "ln_2"), "mlp.c_fc"))
        return x + tf.cast(self._dense(inner, "mlp.c_proj"), tf.float32)

    def _heads(self, qkv: tf.Tensor) -> list[tf.Tensor]:
        """Queries, keys and values, each (batch, heads, steps, head_dim)."""
        config = self._config
        split = tf.reshape(qkv, [self._batch, self._steps, 3, config.n_head, config.head_dim])
        parts: list[tf.Tensor] = tf.unstack(tf.transpose(split, [2, 0, 3, 1, 4]), num=3)
        return parts

    def _norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        return _norm(self._config, self._weights, f"{self._prefix}.{name}", x)

    def _dense(self, x: tf.Tensor, name: str) -> tf.Tensor:
        kernel = self._weights[f"{self._prefix}.{name}.weight"]
        bias = self._weights[f"{self._prefix}.{name}.bias"]
        return tf.nn.bias_add(tf.matmul(tf.cast(x, kernel.dtype), kernel), bias)


def _norm(config: Config, weights: Mapping[str, Any], name: str, x: tf.Tensor) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    offset, scale = weights[f"{name}.bias"], weights[f"{name}.weight"]
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, config.layer_norm_epsilon)
