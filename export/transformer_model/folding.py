"""Folds factors and offsets into weights, so that the graph has fewer operations; results differ by rounding.

The scale and the offset of a layer norm become part of the matrix product after it, the scale of the scores
part of the queries' weights. A product without a bias gets a bias of zeros, because TensorFlow fuses only a
product with a bias, and can then keep its matrix packed.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from contract.tensors import Array
from export.transformer_model.description import (
    ATTENTION_NORM,
    FEED_FORWARD_NORM,
    Experts,
    Layer,
    Transformer,
)
from export.transformer_model.weight_source import WeightSources, together, zeros


def fold(model: Transformer, sources: WeightSources) -> tuple[Transformer, WeightSources]:
    """Returns the description and the weight sources of an equivalent model with folded weights."""
    folded = dict(sources)
    layers = tuple(_layer(f"layers.{i}", layer, model, folded) for i, layer in enumerate(model.layers))
    folded.setdefault("head.bias", zeros(model.vocabulary_size))
    return replace(model, layers=layers), folded


def _layer(prefix: str, layer: Layer, model: Transformer, sources: WeightSources) -> Layer:
    """Folds the weights of one layer in `sources`, in place; returns the layer's new description."""
    attention = layer.attention
    width = attention.width + 2 * attention.kv_width
    sources.setdefault(f"{prefix}.qkv.bias", zeros(width))
    sources.setdefault(f"{prefix}.attention_output.bias", zeros(model.width))
    if not isinstance(layer.feed_forward, Experts):
        inner = layer.feed_forward.width * (1 + layer.feed_forward.gated)
        sources.setdefault(f"{prefix}.inner.bias", zeros(inner))
        sources.setdefault(f"{prefix}.outer.bias", zeros(model.width))
    if model.norm.kind == "layer":
        for norm, products in _products_after_norms(layer).items():
            names = [f"{prefix}.{product}" for product in products]
            if all(f"{name}.bias" in sources for name in names):
                _fold_norm(f"{prefix}.{norm}", names, sources)
    if attention.query_key_norm is not None or attention.scale == 1:
        return layer
    for part in ("kernel", "bias"):
        _scale_queries(f"{prefix}.qkv.{part}", attention.width, attention.scale, sources)
    return replace(layer, attention=replace(attention, scale=1.0))


def _products_after_norms(layer: Layer) -> dict[str, tuple[str, ...]]:
    """Returns the names of the products that read each norm's output."""
    if layer.parallel and FEED_FORWARD_NORM not in layer.norms:
        return {ATTENTION_NORM: ("qkv", "inner")}
    return {ATTENTION_NORM: ("qkv",), FEED_FORWARD_NORM: ("inner",)}


def _fold_norm(norm: str, products: list[str], sources: WeightSources) -> None:
    """Moves the scale and the offset of `norm` into the `products` that read it."""
    scale, offset = sources.pop(f"{norm}.scale", None), sources.pop(f"{norm}.offset", None)
    for product in products:
        bias, kernel = f"{product}.bias", f"{product}.kernel"
        if offset is not None:
            sources[bias] = together(_bias_with_offset, sources[bias], offset, sources[kernel])
        if scale is not None:
            sources[kernel] = together(_kernel_with_scale, sources[kernel], scale)


def _bias_with_offset(bias: Array, offset: Array, kernel: Array) -> Array:
    return _float32(bias) + _float32(offset) @ _float32(kernel)


def _kernel_with_scale(kernel: Array, scale: Array) -> Array:
    return _float32(kernel) * _float32(scale)[:, None]


def _scale_queries(name: str, width: int, scale: float, sources: WeightSources) -> None:
    """Scales the query part (the first `width` columns) of the weight `name`, in `sources`."""

    def scaled(value: Array) -> Array:
        queries, rest = np.split(_float32(value), [width], axis=-1)
        return np.concatenate([queries * np.float32(scale), rest], axis=-1)

    sources[name] = sources[name].then(scaled)


def _float32(value: Array) -> np.ndarray[Any, np.dtype[np.float32]]:
    return value.astype(np.float32)
