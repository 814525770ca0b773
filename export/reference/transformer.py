"""A described Transformer's forward pass in numpy and float64: no cache, logits at any position.

Layer by layer for all texts, so that each weight is read once and forgotten.
"""

from collections.abc import Sequence
from math import erf, pi, sqrt
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from ml_dtypes import bfloat16

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

Array: TypeAlias = npt.NDArray[np.float64]
Ids: TypeAlias = npt.NDArray[np.int32]

PIECE = 4096
"""Rows of the head that are float64 at a time."""


class TransformerReference:
    """The model that `sources` give when they are read, as one that computes in `dtype` means it."""

    def __init__(
        self, model: Transformer, sources: WeightSources, read: ReadTensor, dtype: str = "float32"
    ) -> None:
        self._model = model
        self._sources = sources
        self._read = read
        self._dtype = dtype

    def __call__(self, texts: Sequence[Ids], last: int = 0) -> list[Array]:
        """For each of `texts` (time,) logits (positions, vocabulary) after its `last` tokens, or 0: all."""
        xs = self._embedded(texts)
        for i, layer in enumerate(self._model.layers):
            block = _Block(layer, self._model, self._weights(f"layers.{i}."))
            xs = [block.run(x) for x in xs]
        return self._logits([x[-last:] for x in xs])

    def _embedded(self, texts: Sequence[Ids]) -> list[Array]:
        table = self._raw("embedding")
        # All embeddings feel its rounding alike, so that it is a part of the model.
        scale = np.array(self._model.embedding_scale).astype(self._dtype)
        xs = [table[ids].astype(np.float64) * np.float64(scale) for ids in texts]
        xs = self._projected("input_projection", xs)
        if self._model.learned_positions:
            places = self._raw("positions")
            xs = [x + places[: len(x)].astype(np.float64) for x in xs]
        return xs

    def _logits(self, xs: list[Array]) -> list[Array]:
        model, own = self._model, self._weights("final_norm.")
        xs = [_norm(own, "", model.norm, x) for x in xs] if model.final_norm else xs
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

    def _projected(self, name: str, xs: list[Array]) -> list[Array]:
        if self._model.embedding_width is None:
            return xs
        own = self._weights(f"{name}.")
        return [x @ own["kernel"] for x in xs]

    def _raw(self, name: str) -> npt.NDArray[Any]:
        return self._sources[name].read(self._read)

    def _weights(self, prefix: str) -> dict[str, Array]:
        return {
            name.removeprefix(prefix): source.read(self._read).astype(np.float64)
            for name, source in self._sources.items()
            if name.startswith(prefix)
        }


class _Block:
    """One layer."""

    def __init__(self, layer: Layer, model: Transformer, own: dict[str, Array]) -> None:
        self._layer = layer
        self._model = model
        self._own = own

    def run(self, x: Array) -> Array:
        layer, scale = self._layer, self._model.residual_scale
        read = self._normed(ATTENTION_NORM, x)
        mixed = scale * self._normed(ATTENTION_OUTPUT_NORM, self._attention(read))
        summed = self._normed(ATTENTION_SUM_NORM, x + mixed)
        if layer.parallel:
            read = self._normed(FEED_FORWARD_NORM, x) if FEED_FORWARD_NORM in layer.norms else read
        else:
            read = self._normed(FEED_FORWARD_NORM, summed)
        fed = scale * self._normed(FEED_FORWARD_OUTPUT_NORM, self._feed_forward(read))
        return self._normed(FEED_FORWARD_SUM_NORM, summed + fed)

    def _normed(self, name: str, x: Array) -> Array:
        return _norm(self._own, f"{name}.", self._model.norm, x) if name in self._layer.norms else x

    def _attention(self, x: Array) -> Array:
        attention = self._layer.attention
        heads = _dense(self._own, "qkv", x).reshape(len(x), -1, attention.head_dim).swapaxes(0, 1)
        q, k, v = np.split(heads, [attention.heads, attention.heads + attention.kv_heads])
        q, k = self._looking("query_norm.", q), self._looking("key_norm.", k)
        mask = _mask(len(x), attention.window)
        mixed = [
            _attended(attention, head, q[head], k[key_head], v[key_head], mask)
            for head, key_head in enumerate(np.arange(attention.heads) // attention.group_size)
        ]
        return _dense(self._own, "attention_output", np.concatenate(mixed, axis=1))

    def _looking(self, norm: str, heads: Array) -> Array:
        """Queries or keys (heads, time, head_dim) as they meet."""
        attention = self._layer.attention
        if attention.query_key_norm is not None:
            count, time, head_dim = heads.shape
            x = heads.swapaxes(0, 1)
            x = x.reshape(time, -1) if attention.whole_norm else x
            x = _norm(self._own, norm, attention.query_key_norm, x)
            heads = x.reshape(time, count, head_dim).swapaxes(0, 1)
        return heads if attention.rope is None else _turned(attention.rope, heads)

    def _feed_forward(self, x: Array) -> Array:
        kind = self._layer.feed_forward
        return self._experts(kind, x) if isinstance(kind, Experts) else _fed(self._own, kind, x)

    def _experts(self, kind: Experts, x: Array) -> Array:
        shares = _softmax(_dense(self._own, "router", x))
        out = np.zeros_like(x)
        for row, share in enumerate(shares):
            chosen = np.argsort(-share, kind="stable")[: kind.chosen]
            total = share[chosen].sum() if kind.renormalized else 1.0
            for expert in chosen:
                own = {f"{part}.kernel": self._own[f"{part}.kernel"][expert] for part in ("inner", "outer")}
                each = _fed(own, FeedForward(kind.width, kind.activation, gated=True), x[row : row + 1])
                out[row] += share[expert] / total * each[0]
        return out


def _fed(own: dict[str, Array], kind: FeedForward, x: Array) -> Array:
    inner, activation = _dense(own, "inner", x), _ACTIVATIONS[kind.activation]
    if not kind.gated:
        return _dense(own, "outer", activation(inner))
    gate, up = np.split(inner, 2, axis=-1)
    return _dense(own, "outer", activation(gate) * up)


def _attended(attention: Attention, head: int, q: Array, k: Array, v: Array, mask: Array) -> Array:
    """One head, (time, head_dim) each."""
    scores = _capped(q @ k.T * attention.scale, attention.soft_cap)
    if attention.alibi is not None:
        scores += _biases(attention.alibi, head, len(k))
    return _softmax(scores + mask) @ v


def _biases(alibi: Alibi, head: int, time: int) -> Array:
    """(time,)"""
    products = np.arange(time).astype(bfloat16) * bfloat16(alibi.slopes[head])
    out: Array = products.astype(np.float64) * alibi.scale
    return out


def _mask(time: int, window: int | None) -> Array:
    distance = np.arange(time)[:, None] - np.arange(time)
    seen = (distance >= 0) & (distance < (window or time))
    return np.where(seen, 0.0, -np.inf)


def _turned(rope: Rope, heads: Array) -> Array:
    """(heads, time, head_dim): the pairs of the leading dimensions, by their positions."""
    # The angles are float32, as every implementation has them: far positions feel the difference.
    places = np.arange(heads.shape[1], dtype=np.float32)[:, None]
    angles = (places * np.array(rope.frequencies, np.float32)).astype(np.float64)
    cosines, sines = np.cos(angles) * rope.scale, np.sin(angles) * rope.scale
    pairs = len(rope.frequencies)
    one, other, rest = np.split(heads, [pairs, 2 * pairs], axis=-1)
    return np.concatenate([one * cosines - other * sines, other * cosines + one * sines, rest], axis=-1)


def _dense(own: dict[str, Array], name: str, x: Array) -> Array:
    out: Array = x @ own[f"{name}.kernel"] + own.get(f"{name}.bias", 0.0)
    return out


def _norm(own: dict[str, Array], prefix: str, norm: Norm, x: Array) -> Array:
    centred = x - x.mean(axis=-1, keepdims=True) if norm.kind == "layer" else x
    spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + norm.epsilon)
    out: Array = centred / spread * own.get(f"{prefix}scale", 1.0) + own.get(f"{prefix}offset", 0.0)
    return out


def _softmax(x: Array) -> Array:
    likely = np.exp(x - x.max(axis=-1, keepdims=True))
    out: Array = likely / likely.sum(axis=-1, keepdims=True)
    return out


def _capped(x: Array, cap: float | None) -> Array:
    return x if cap is None else cap * np.tanh(x / cap)


def _gelu_tanh(x: Array) -> Array:
    out: Array = 0.5 * x * (1 + np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))
    return out


def _gelu(x: Array) -> Array:
    out: Array = 0.5 * x * (1 + np.vectorize(erf)(x / sqrt(2)))
    return out


def _relu(x: Array) -> Array:
    return np.maximum(x, 0)


def _silu(x: Array) -> Array:
    out: Array = x / (1 + np.exp(-x))
    return out


_ACTIVATIONS = {"gelu": _gelu, "gelu_tanh": _gelu_tanh, "relu": _relu, "silu": _silu}
