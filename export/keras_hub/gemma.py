"""Gemma 1 and 2: scaled embeddings, norms whose stored weights are the scale minus one, tanh-gelu gates.

Gemma 2 has norms before and after each block, soft caps, and a window in every other layer. Gemma 3 uses the
functions of this module.
"""

import numpy as np

from export.checkpoints.config_reader import ConfigReader
from export.keras_hub import tensors
from export.transformer_model.description import (
    ATTENTION_NORM,
    ATTENTION_OUTPUT_NORM,
    FEED_FORWARD_NORM,
    FEED_FORWARD_OUTPUT_NORM,
    Attention,
    FeedForward,
    Layer,
    Norm,
    Transformer,
)
from export.transformer_model.rope import Rope
from export.transformer_model.weight_source import WeightSource, WeightSources, joined

NORMS = {
    ATTENTION_NORM: "pre_attention_norm",
    ATTENTION_OUTPUT_NORM: "post_attention_norm",
    FEED_FORWARD_NORM: "pre_ffw_norm",
    FEED_FORWARD_OUTPUT_NORM: "post_ffw_norm",
}
OPTIONAL = {
    ATTENTION_OUTPUT_NORM: "use_post_attention_norm",
    FEED_FORWARD_OUTPUT_NORM: "use_post_ffw_norm",
}
"""The norms that only some models have, with the keys that say so."""

EPSILON = 1e-6


def context(_: ConfigReader) -> None:
    """Returns None: the backbone's positions are unlimited."""


def describe(config: ConfigReader, context: int, head: bool) -> Transformer:  # noqa: ARG001
    """Builds the description of the model for sequences of up to `context` tokens."""
    rope = tensors.rope(10_000, 1.0, config.size("head_dim"), context)
    window = config.size("sliding_window_size", 4096)
    windows = (window, None) if config.flag("use_sliding_window_attention", False) else (None, None)
    # KerasHub's intermediate_dim counts gate and up together.
    inner = config.size("intermediate_dim") // 2
    each = [layer(config, attention(config, rope, w, None), inner) for w in windows]
    return transformer(config, context, tuple(each[i % 2] for i in range(config.size("num_layers"))))


def attention(config: ConfigReader, rope: Rope, window: int | None, query_key_norm: Norm | None) -> Attention:
    """Builds a layer's attention."""
    # KerasHub's layers do not read the key: they always scale by the width of a head.
    config.only("query_head_dim_normalize", True)
    head_dim = config.size("head_dim")
    return Attention(
        config.size("num_query_heads"),
        config.size("num_key_value_heads"),
        head_dim,
        scale=head_dim**-0.5,
        rope=rope,
        window=window,
        soft_cap=config.optional_number("attention_logit_soft_cap"),
        query_key_norm=query_key_norm,
    )


def layer(config: ConfigReader, attention: Attention, inner: int) -> Layer:
    """Builds a layer of `attention`, with a gated feed-forward of width `inner`."""
    absent = [name for name, key in OPTIONAL.items() if not config.flag(key, False)]
    norms = tuple(name for name in NORMS if name not in absent)
    return Layer(attention, FeedForward(inner, "gelu_tanh", gated=True), norms)


def transformer(config: ConfigReader, context: int, layers: tuple[Layer, ...]) -> Transformer:
    """Builds the description of a model of `layers`."""
    # KerasHub applies another epsilon to the last norm only.
    config.only("layer_norm_epsilon", EPSILON)
    width = config.size("hidden_dim")
    return Transformer(
        vocabulary_size=config.size("vocabulary_size"),
        context_length=context,
        width=width,
        norm=Norm("rms", EPSILON),
        layers=layers,
        tied=True,
        embedding_scale=width**0.5,
        logit_soft_cap=config.optional_number("final_logit_soft_cap"),
    )


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return all_sources(model, "gemma_decoder_block")


def all_sources(model: Transformer, block: str) -> WeightSources:
    """Returns the source of each weight; `block` is the class of the layers in snake case."""
    norm = scale("layers/rms_normalization", model.width)
    found = tensors.end_sources(model) | {"final_norm.scale": norm}
    for i, each in enumerate(model.layers):
        path = tensors.layer_path(block, i)
        found |= tensors.in_layer(i, _attention(f"{path}/attention", each.attention, model.width))
        found |= tensors.in_layer(i, _feed_forward(path, each, model.width))
        norms = {f"{name}.scale": scale(f"{path}/{NORMS[name]}", model.width) for name in each.norms}
        found |= tensors.in_layer(i, norms)
    return found


def scale(path: str, width: int) -> WeightSource:
    """Returns the source of a norm's scale, which is stored minus one."""
    return tensors.scale(path, width).then(lambda weight: weight.astype(np.float32) + 1)


def _attention(path: str, attention: Attention, width: int) -> WeightSources:
    """Returns the sources of attention; kernels of queries, keys and values are (heads, width, head_dim)."""
    heads = {"query": attention.heads, "key": attention.kv_heads, "value": attention.kv_heads}
    parts = [
        tensors.kernel(f"{path}/{part}_dense", n, width, attention.head_dim) for part, n in heads.items()
    ]
    output = tensors.kernel(f"{path}/output_dense", attention.heads, attention.head_dim, width)
    found = {
        "qkv.kernel": joined(*(part.then(lambda v: v.swapaxes(0, 1).reshape(width, -1)) for part in parts)),
        "attention_output.kernel": output.then(lambda value: value.reshape(-1, width)),
    }
    if attention.query_key_norm is not None:
        for part in ("query", "key"):
            found[f"{part}_norm.scale"] = scale(f"{path}/{part}_norm", attention.head_dim)
    return found


def _feed_forward(path: str, layer: Layer, width: int) -> WeightSources:
    assert isinstance(layer.feed_forward, FeedForward)
    inner = layer.feed_forward.width
    gate_and_up = (tensors.kernel(f"{path}/{name}", width, inner) for name in ("gating_ffw", "gating_ffw_2"))
    return {
        "inner.kernel": joined(*gate_and_up),
        "outer.kernel": tensors.kernel(f"{path}/ffw_linear", inner, width),
    }
