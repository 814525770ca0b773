"""The forward pass of a described Transformer in numpy and float64, without a KV cache.

Each layer is computed for all sequences at once, so that its weights are read once and then freed.
"""

from collections.abc import Sequence
from math import erf, pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from ml_dtypes import bfloat16

from contract.tensors import Ids
from export.reference import Float64Array
from export.transformer_model.description import (
    ATTENTION_NORM,
    ATTENTION_OUTPUT_NORM,
    ATTENTION_SUM_NORM,
    FEED_FORWARD_NORM,
    FEED_FORWARD_OUTPUT_NORM,
    FEED_FORWARD_SUM_NORM,
    Alibi,
    Attention,
    Experts,
    FeedForward,
    Layer,
    Norm,
    Transformer,
)
from export.transformer_model.rope import Rope
from export.transformer_model.weight_source import ReadTensor, WeightSources

PIECE = 4096
"""How many rows of the head are converted to float64 at a time."""


class TransformerReference:
    """The reference of one model; `sources` are read at every call.

    `dtype` is that of the embedding's rows in the export, to which the embedding scale is rounded.
    """

    def __init__(
        self, model: Transformer, sources: WeightSources, read: ReadTensor, dtype: str = "float32"
    ) -> None:
        self._model = model
        self._sources = sources
        self._read = read
        self._dtype = dtype

    def __call__(self, sequences: Sequence[Ids], last: int = 0) -> list[Float64Array]:
        """Returns the logits (positions, vocabulary) of each sequence of token ids (time,).

        They are those after the `last` tokens of each sequence, or after every token where `last` is 0.
        """
        xs = self._embedded(sequences)
        for i, layer in enumerate(self._model.layers):
            forward = _LayerForward(layer, self._model, self._weights(f"layers.{i}."))
            xs = [forward.run(x) for x in xs]
        return self._logits([x[-last:] for x in xs])

    def _embedded(self, sequences: Sequence[Ids]) -> list[Float64Array]:
        table = self._raw("embedding")
        # Its rounding changes all embeddings by the same factor, so it counts as part of the model.
        scale = np.array(self._model.embedding_scale).astype(self._dtype)
        xs = [table[ids].astype(np.float64) * np.float64(scale) for ids in sequences]
        xs = self._projected("input_projection", xs)
        if self._model.learned_positions:
            positions = self._raw("positions")
            xs = [x + positions[: len(x)].astype(np.float64) for x in xs]
        return xs

    def _logits(self, xs: list[Float64Array]) -> list[Float64Array]:
        model, weights = self._model, self._weights("final_norm.")
        xs = [_norm(weights, "", model.norm, x) for x in xs] if model.final_norm else xs
        xs = self._projected("output_projection", xs)
        table = self._raw("embedding" if model.tied else "head.kernel")
        bias = self._sources.get("head.bias")
        offset = np.zeros(len(table)) if bias is None else bias.read(self._read).astype(np.float64)
        each = [np.empty((len(x), len(table))) for x in xs]
        for begin in range(0, len(table), PIECE):
            here = slice(begin, begin + PIECE)
            piece = table[here].astype(np.float64).T
            for x, logits in zip(xs, each, strict=True):
                logits[:, here] = x @ piece + offset[here]
        return [_capped(logits * model.logit_scale, model.logit_soft_cap) for logits in each]

    def _projected(self, name: str, xs: list[Float64Array]) -> list[Float64Array]:
        if self._model.embedding_width is None:
            return xs
        weights = self._weights(f"{name}.")
        return [x @ weights["kernel"] for x in xs]

    def _raw(self, name: str) -> npt.NDArray[Any]:
        return self._sources[name].read(self._read)

    def _weights(self, prefix: str) -> dict[str, Float64Array]:
        return {
            name.removeprefix(prefix): source.read(self._read).astype(np.float64)
            for name, source in self._sources.items()
            if name.startswith(prefix)
        }


class _LayerForward:
    """The forward pass of one layer, for one sequence `x` (time, width)."""

    def __init__(self, layer: Layer, model: Transformer, weights: dict[str, Float64Array]) -> None:
        self._layer = layer
        self._model = model
        self._weights = weights

    def run(self, x: Float64Array) -> Float64Array:
        layer, scale = self._layer, self._model.residual_scale
        read = self._normed(ATTENTION_NORM, x)
        attended = scale * self._normed(ATTENTION_OUTPUT_NORM, self._attention(read))
        summed = self._normed(ATTENTION_SUM_NORM, x + attended)
        if layer.parallel:
            read = self._normed(FEED_FORWARD_NORM, x) if FEED_FORWARD_NORM in layer.norms else read
        else:
            read = self._normed(FEED_FORWARD_NORM, summed)
        fed = scale * self._normed(FEED_FORWARD_OUTPUT_NORM, self._feed_forward(read))
        return self._normed(FEED_FORWARD_SUM_NORM, summed + fed)

    def _normed(self, name: str, x: Float64Array) -> Float64Array:
        return _norm(self._weights, f"{name}.", self._model.norm, x) if name in self._layer.norms else x

    def _attention(self, x: Float64Array) -> Float64Array:
        attention = self._layer.attention
        heads = _dense(self._weights, "qkv", x).reshape(len(x), -1, attention.head_dim).swapaxes(0, 1)
        q, k, v = np.split(heads, [attention.heads, attention.heads + attention.kv_heads])
        q, k = self._normed_and_rotated("query_norm.", q), self._normed_and_rotated("key_norm.", k)
        mask = _mask(len(x), attention.window)
        attended = [
            _attended(attention, head, q[head], k[key_head], v[key_head], mask)
            for head, key_head in enumerate(np.arange(attention.heads) // attention.group_size)
        ]
        return _dense(self._weights, "attention_output", np.concatenate(attended, axis=1))

    def _normed_and_rotated(self, norm: str, heads: Float64Array) -> Float64Array:
        """Returns queries or keys (heads, time, head_dim) with their norm and their positions."""
        attention = self._layer.attention
        if attention.query_key_norm is not None:
            count, time, head_dim = heads.shape
            x = heads.swapaxes(0, 1)
            x = x.reshape(time, -1) if attention.whole_norm else x
            x = _norm(self._weights, norm, attention.query_key_norm, x)
            heads = x.reshape(time, count, head_dim).swapaxes(0, 1)
        return heads if attention.rope is None else _rotated(attention.rope, heads)

    def _feed_forward(self, x: Float64Array) -> Float64Array:
        kind = self._layer.feed_forward
        return self._experts(kind, x) if isinstance(kind, Experts) else _fed(self._weights, kind, x)

    def _experts(self, kind: Experts, x: Float64Array) -> Float64Array:
        shares = _softmax(_dense(self._weights, "router", x))
        out = np.zeros_like(x)
        for row, share in enumerate(shares):
            chosen = np.argsort(-share, kind="stable")[: kind.chosen]
            total = share[chosen].sum() if kind.renormalized else 1.0
            for expert in chosen:
                weights = {
                    f"{part}.kernel": self._weights[f"{part}.kernel"][expert] for part in ("inner", "outer")
                }
                each = _fed(weights, FeedForward(kind.width, kind.activation, gated=True), x[row : row + 1])
                out[row] += share[expert] / total * each[0]
        return out


def _fed(weights: dict[str, Float64Array], kind: FeedForward, x: Float64Array) -> Float64Array:
    inner, activation = _dense(weights, "inner", x), _ACTIVATIONS[kind.activation]
    if not kind.gated:
        return _dense(weights, "outer", activation(inner))
    gate, up = np.split(inner, 2, axis=-1)
    return _dense(weights, "outer", activation(gate) * up)


def _attended(
    attention: Attention, head: int, q: Float64Array, k: Float64Array, v: Float64Array, mask: Float64Array
) -> Float64Array:
    """Returns the attention output of one head, (time, head_dim), as are `q`, `k` and `v`."""
    scores = _capped(q @ k.T * attention.scale, attention.soft_cap)
    if attention.alibi is not None:
        scores += _biases(attention.alibi, head, len(k))
    return _softmax(scores + mask) @ v


def _biases(alibi: Alibi, head: int, time: int) -> Float64Array:
    """Returns the biases of one head by key position, (time,)."""
    products = np.arange(time).astype(bfloat16) * bfloat16(alibi.slopes[head])
    out: Float64Array = products.astype(np.float64) * alibi.scale
    return out


def _mask(time: int, window: int | None) -> Float64Array:
    """Returns what is added to the scores, (time, time): 0 or -inf."""
    distance = np.arange(time)[:, None] - np.arange(time)
    visible = (distance >= 0) & (distance < (window or time))
    return np.where(visible, 0.0, -np.inf)


def _rotated(rope: Rope, heads: Float64Array) -> Float64Array:
    """Rotates the pairs of leading dimensions of (heads, time, head_dim) by their positions."""
    # The angles are float32, as in every implementation: at distant positions float64 would differ visibly.
    positions = np.arange(heads.shape[1], dtype=np.float32)[:, None]
    angles = (positions * np.array(rope.frequencies, np.float32)).astype(np.float64)
    cosines, sines = np.cos(angles) * rope.scale, np.sin(angles) * rope.scale
    pairs = len(rope.frequencies)
    first, second, rest = np.split(heads, [pairs, 2 * pairs], axis=-1)
    return np.concatenate([first * cosines - second * sines, second * cosines + first * sines, rest], axis=-1)


def _dense(weights: dict[str, Float64Array], name: str, x: Float64Array) -> Float64Array:
    out: Float64Array = x @ weights[f"{name}.kernel"] + weights.get(f"{name}.bias", 0.0)
    return out


def _norm(weights: dict[str, Float64Array], prefix: str, norm: Norm, x: Float64Array) -> Float64Array:
    centred = x - x.mean(axis=-1, keepdims=True) if norm.kind == "layer" else x
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + norm.epsilon)
    scale, offset = weights.get(f"{prefix}scale", 1.0), weights.get(f"{prefix}offset", 0.0)
    out: Float64Array = centred / spread * scale + offset
    return out


def _softmax(x: Float64Array) -> Float64Array:
    likely = np.exp(x - x.max(axis=-1, keepdims=True))
    out: Float64Array = likely / likely.sum(axis=-1, keepdims=True)
    return out


def _capped(x: Float64Array, cap: float | None) -> Float64Array:
    return x if cap is None else cap * np.tanh(x / cap)


def _gelu_tanh(x: Float64Array) -> Float64Array:
    out: Float64Array = 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
    return out


def _gelu(x: Float64Array) -> Float64Array:
    out: Float64Array = 0.5 * x * (1 + np.vectorize(erf)(x / sqrt(2)))
    return out


def _relu(x: Float64Array) -> Float64Array:
    return np.maximum(x, 0)


def _silu(x: Float64Array) -> Float64Array:
    out: Float64Array = x / (1 + np.exp(-x))
    return out


_ACTIVATIONS = {"gelu": _gelu, "gelu_tanh": _gelu_tanh, "relu": _relu, "silu": _silu}
