"""Falcon: one key head, several, or one for each query head; rotary positions or alibi; mostly parallel."""

from math import log2

import numpy as np

from export.checkpoints.config_reader import ConfigReader
from export.hf.families.parts import end_sources, fused_qkv, layer_norm, product, transformer
from export.transformer_model.description import (
    BEFORE,
    SHARED,
    Alibi,
    Attention,
    FeedForward,
    Layer,
    Norm,
    Transformer,
)
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "falcon"
PREFIX = "transformer."
NOT_WEIGHTS = (".rotary_emb.inv_freq",)


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 2048)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    config.only("apply_residual_connection_post_layernorm", False)
    config.unused("ff_factor")
    width = config.size("hidden_size")
    config.only("n_embed", width)
    inner = config.size("ffn_hidden_size", 4 * width)
    norms, parallel = _order(config)
    layer = Layer(
        _attention(config, context),
        FeedForward(inner, config.activation("activation", "gelu"), gated=False),
        norms,
        parallel,
    )
    norm = Norm("layer", config.number("layer_norm_epsilon", 1e-5))
    return transformer(config, context, norm, (layer,) * config.size("num_hidden_layers"), tied=True)


def _order(config: ConfigReader) -> tuple[tuple[str, ...], bool]:
    """Returns a layer's norms, and whether the layer is parallel."""
    if not config.flag("new_decoder_architecture", False):
        config.only("num_ln_in_parallel_attn", 1)
        parallel = config.flag("parallel_attn", True)
        return (SHARED if parallel else BEFORE), parallel
    config.only("parallel_attn", True)
    if config.size("num_ln_in_parallel_attn", 2) == 1:
        return SHARED, True
    config.only("num_ln_in_parallel_attn", 2)
    return BEFORE, True


def _attention(config: ConfigReader, context: int) -> Attention:
    """Builds the attention of each layer."""
    heads = config.size("num_attention_heads")
    head_dim = config.divided("hidden_size", "num_attention_heads")
    config.only("head_dim", head_dim)
    scale, alibi = head_dim**-0.5, config.flag("alibi", False)
    rope = config.rope(head_dim, context)
    return Attention(
        heads,
        _kv_heads(config, heads),
        head_dim,
        scale,
        rope=None if alibi else rope,
        alibi=Alibi(slopes(heads), scale) if alibi else None,
    )


def _kv_heads(config: ConfigReader, heads: int) -> int:
    grouped, single = config.flag("new_decoder_architecture", False), config.flag("multi_query", True)
    if grouped:
        return config.size("num_kv_heads", heads)
    if single:
        config.unused("num_kv_heads")
        return 1
    config.only("num_kv_heads", heads)
    return heads


def slopes(heads: int) -> tuple[float, ...]:
    """Returns the slopes of alibi, one for each head: float32 values.

    For a power of two they are a geometric series down to 2**-8. Further heads take every other value of the
    series for twice that power.
    """
    power = 2 ** int(log2(heads))
    found = [_series(power) ** i for i in range(1, power + 1)]
    found += [_series(2 * power) ** i for i in range(1, 2 * (heads - power) + 1, 2)]
    return tuple(float(np.float32(slope)) for slope in found)


def _series(heads: int) -> float:
    return float(np.float32(2 ** (-8 / heads)))


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    bias = config.flag("bias", False)
    found = end_sources(model, "word_embeddings", "ln_f", "lm_head")
    for i, layer in enumerate(model.layers):
        found |= _products(f"layers.{i}", f"h.{i}", layer, model.width, bias)
        for name, stored in zip(layer.norms, _stored_norms(layer), strict=True):
            found |= layer_norm(f"layers.{i}.{name}", f"h.{i}.{stored}", model.width)
    return found


def _stored_norms(layer: Layer) -> tuple[str, ...]:
    """Returns the checkpoint's names of `layer.norms`, in the same order."""
    if layer.norms == SHARED:
        return ("input_layernorm",)
    return ("ln_attn", "ln_mlp") if layer.parallel else ("input_layernorm", "post_attention_layernorm")


def _products(name: str, stored: str, layer: Layer, width: int, bias: bool) -> WeightSources:
    assert isinstance(layer.feed_forward, FeedForward)
    attention, inner = layer.attention, layer.feed_forward.width
    heads = attention.heads, attention.kv_heads, attention.head_dim
    found = fused_qkv(f"{name}.qkv", f"{stored}.self_attention.query_key_value", width, bias, heads)
    found |= product(f"{name}.attention_output", f"{stored}.self_attention.dense", width, width, bias)
    found |= product(f"{name}.inner", f"{stored}.mlp.dense_h_to_4h", width, inner, bias)
    found |= product(f"{name}.outer", f"{stored}.mlp.dense_4h_to_h", inner, width, bias)
    return found
