"""Falcon: as many key heads as query heads, a few, or one; rotary positions or alibi; mostly parallel."""

from math import log2

import numpy as np

from export.checkpoints.config_reader import ConfigReader
from export.hf.families.parts import fused_qkv, layer_norm, product
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
from export.transformer_model.weight_source import WeightSources, tensor

MODEL_TYPE = "falcon"
PREFIX = "transformer."
NOT_WEIGHTS = (".rotary_emb.inv_freq",)


def context(config: ConfigReader) -> int:
    return config.size("max_position_embeddings", 2048)


def describe(config: ConfigReader, context: int) -> Transformer:
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
    return Transformer(
        vocabulary_size=config.size("vocab_size"),
        context_length=context,
        width=width,
        norm=Norm("layer", config.number("layer_norm_epsilon", 1e-5)),
        layers=(layer,) * config.size("num_hidden_layers"),
        tied=config.flag("tie_word_embeddings", True),
    )


def _order(config: ConfigReader) -> tuple[tuple[str, ...], bool]:
    """A layer's norms, and whether it is parallel."""
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
    """Of alibi: a geometric series down to 2**-8; heads beyond a power of two take gaps of a finer one."""
    power = 2 ** int(log2(heads))
    found = [_series(power) ** i for i in range(1, power + 1)]
    found += [_series(2 * power) ** i for i in range(1, 2 * (heads - power) + 1, 2)]
    return tuple(float(np.float32(slope)) for slope in found)


def _series(heads: int) -> float:
    return float(np.float32(2 ** (-8 / heads)))


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    bias = config.flag("bias", False)
    found = {"embedding": tensor("word_embeddings.weight", model.vocabulary_size, model.width)}
    found |= layer_norm("final_norm", "ln_f", model.width)
    if not model.tied:
        found["head.kernel"] = tensor("lm_head.weight", model.vocabulary_size, model.width)
    for i, layer in enumerate(model.layers):
        found |= _products(f"layers.{i}", f"h.{i}", layer, model.width, bias)
        for name, own in zip(layer.norms, _norm_names(layer), strict=True):
            found |= layer_norm(f"layers.{i}.{name}", f"h.{i}.{own}", model.width)
    return found


def _norm_names(layer: Layer) -> tuple[str, ...]:
    """Which a checkpoint has for those of the layer."""
    if layer.norms == SHARED:
        return ("input_layernorm",)
    return ("ln_attn", "ln_mlp") if layer.parallel else ("input_layernorm", "post_attention_layernorm")


def _products(name: str, own: str, layer: Layer, width: int, bias: bool) -> WeightSources:
    assert isinstance(layer.feed_forward, FeedForward)
    attention, inner = layer.attention, layer.feed_forward.width
    heads = attention.heads, attention.kv_heads, attention.head_dim
    found = fused_qkv(f"{name}.qkv", f"{own}.self_attention.query_key_value", width, bias, heads)
    found |= product(f"{name}.attention_output", f"{own}.self_attention.dense", width, width, bias)
    found |= product(f"{name}.inner", f"{own}.mlp.dense_h_to_4h", width, inner, bias)
    found |= product(f"{name}.outer", f"{own}.mlp.dense_4h_to_h", inner, width, bias)
    return found
