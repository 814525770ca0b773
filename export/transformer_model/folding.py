"""Arranges weights for fewer operations, without another result but by rounding.

Scale and offset of a layer norm go into the product that follows it, and so does the scale of the scores; a
product without a bias gets zeros, since only one with a bias is fused, and may keep its matrix packed.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from export.transformer_model.description import (
    ATTENTION_NORM,
    FEED_FORWARD_NORM,
    Experts,
    Layer,
    Transformer,
)
from export.transformer_model.weight_source import Array, WeightSources, together, zeros


def fold(model: Transformer, sources: WeightSources) -> tuple[Transformer, WeightSources]:
    """`model` as it is with the folded `sources`."""
    folded = dict(sources)
    layers = tuple(_layer(f"layers.{i}", layer, model, folded) for i, layer in enumerate(model.layers))
    _head_bias(model, folded)
    return replace(model, layers=layers), folded


def _layer(prefix: str, layer: Layer, model: Transformer, sources: WeightSources) -> Layer:
    """The layer as it is then; changes `sources`."""
    attention = layer.attention
    width = attention.width + 2 * attention.kv_width
    sources.setdefault(f"{prefix}.qkv.bias", zeros(width))
    sources.setdefault(f"{prefix}.attention_output.bias", zeros(model.width))
    if not isinstance(layer.feed_forward, Experts):
        inner = layer.feed_forward.width * (1 + layer.feed_forward.gated)
        sources.setdefault(f"{prefix}.inner.bias", zeros(inner))
        sources.setdefault(f"{prefix}.outer.bias", zeros(model.width))
    if model.norm.kind == "layer":
        for norm, products in _readers(layer).items():
            names = [f"{prefix}.{product}" for product in products]
            if all(f"{name}.bias" in sources for name in names):
                _norm(f"{prefix}.{norm}", names, sources)
    if attention.query_key_norm is not None or attention.scale == 1:
        return layer
    for part in ("kernel", "bias"):
        _scale(f"{prefix}.qkv.{part}", attention.width, attention.scale, sources)
    return replace(layer, attention=replace(attention, scale=1.0))


def _readers(layer: Layer) -> dict[str, tuple[str, ...]]:
    """Which products read what a norm gives."""
    if layer.parallel and FEED_FORWARD_NORM not in layer.norms:
        return {ATTENTION_NORM: ("qkv", "inner")}
    return {ATTENTION_NORM: ("qkv",), FEED_FORWARD_NORM: ("inner",)}


def _norm(norm: str, products: list[str], sources: WeightSources) -> None:
    scale, offset = sources.pop(f"{norm}.scale", None), sources.pop(f"{norm}.offset", None)
    for product in products:
        bias, kernel = f"{product}.bias", f"{product}.kernel"
        if offset is not None:
            sources[bias] = together(_offset, sources[bias], offset, sources[kernel])
        if scale is not None:
            sources[kernel] = together(_rows_scaled, sources[kernel], scale)


def _offset(bias: Array, offset: Array, kernel: Array) -> Array:
    return _float(bias) + _float(offset) @ _float(kernel)


def _rows_scaled(kernel: Array, scale: Array) -> Array:
    return _float(kernel) * _float(scale)[:, None]


def _scale(name: str, width: int, scale: float, sources: WeightSources) -> None:
    """The queries, which come first."""

    def scaled(value: Array) -> Array:
        queries, rest = np.split(_float(value), [width], axis=-1)
        return np.concatenate([queries * np.float32(scale), rest], axis=-1)

    sources[name] = sources[name].then(scaled)


def _head_bias(model: Transformer, sources: WeightSources) -> None:
    sources.setdefault("head.bias", zeros(model.vocabulary_size))


def _float(value: Array) -> np.ndarray[Any, np.dtype[np.float32]]:
    return value.astype(np.float32)
