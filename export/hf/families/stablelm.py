"""StableLM: gated feed-forward, norms with offsets, rotary positions of a part of each head."""

import numpy as np

from export.checkpoints.config_reader import ConfigReader
from export.hf.families.llama import end_sources, feed_forward_sources, layer_sources
from export.hf.families.parts import layer_norm
from export.transformer_model.description import (
    BEFORE,
    SHARED,
    Attention,
    FeedForward,
    Layer,
    Norm,
    Transformer,
)
from export.transformer_model.weight_source import WeightSource, WeightSources, tensor, together

MODEL_TYPE = "stablelm"
PREFIX = "model."
NOT_WEIGHTS = (".rotary_emb.inv_freq",)


def context(config: ConfigReader) -> int:
    return config.size("max_position_embeddings", 4096)


def describe(config: ConfigReader, context: int) -> Transformer:
    norm = Norm("layer", config.number("layer_norm_eps", 1e-5))
    parallel = config.flag("use_parallel_residual", False)
    layer = Layer(
        _attention(config, context, norm),
        FeedForward(
            config.size("intermediate_size", 6912), config.activation("hidden_act", "silu"), gated=True
        ),
        norms=SHARED if parallel else BEFORE,
        parallel=parallel,
    )
    return Transformer(
        vocabulary_size=config.size("vocab_size"),
        context_length=context,
        width=config.size("hidden_size"),
        norm=norm,
        layers=(layer,) * config.size("num_hidden_layers"),
        tied=config.flag("tie_word_embeddings", False),
    )


def _attention(config: ConfigReader, context: int, norm: Norm) -> Attention:
    head_dim = config.divided("hidden_size", "num_attention_heads")
    config.only("head_dim", head_dim)
    return Attention(
        config.size("num_attention_heads"),
        config.size("num_key_value_heads", 32),
        head_dim,
        scale=head_dim**-0.5,
        rope=config.rope(head_dim, context),
        query_key_norm=norm if config.flag("qk_layernorm", False) else None,
    )


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    biases = ("qkv",) if config.flag("use_qkv_bias", False) else ()
    found = end_sources(model) | layer_norm("final_norm", "norm", model.width)
    for i, layer in enumerate(model.layers):
        found |= layer_sources(i, layer, model.width, biases)
        found |= feed_forward_sources(i, layer, model.width)
        found |= _norms(f"layers.{i}", layer, model.width)
    return found


def _norms(name: str, layer: Layer, width: int) -> WeightSources:
    """Here and there layers are called alike."""
    attention, own = layer.attention, f"{name}.self_attn"
    found = layer_norm(f"{name}.attention_norm", f"{name}.input_layernorm", width)
    if not layer.parallel:
        found |= layer_norm(f"{name}.feed_forward_norm", f"{name}.post_attention_layernorm", width)
    if attention.query_key_norm is not None:
        found[f"{name}.query_norm.scale"] = _scales(f"{own}.q_layernorm", attention.heads, attention)
        found[f"{name}.key_norm.scale"] = _scales(f"{own}.k_layernorm", attention.kv_heads, attention)
    return found


def _scales(own: str, count: int, attention: Attention) -> WeightSource:
    """Each head's, (count, head_dim)."""
    heads = (tensor(f"{own}.norms.{head}.weight", attention.head_dim) for head in range(count))
    return together(lambda *scales: np.stack(scales), *heads)
