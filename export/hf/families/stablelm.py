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


def context(settings: ConfigReader) -> int:
    return settings.size("max_position_embeddings", 4096)


def describe(settings: ConfigReader, context: int) -> Transformer:
    norm = Norm("layer", settings.number("layer_norm_eps", 1e-5))
    parallel = settings.flag("use_parallel_residual", False)
    layer = Layer(
        _attention(settings, context, norm),
        FeedForward(
            settings.size("intermediate_size", 6912), settings.activation("hidden_act", "silu"), gated=True
        ),
        norms=SHARED if parallel else BEFORE,
        parallel=parallel,
    )
    return Transformer(
        vocabulary_size=settings.size("vocab_size"),
        context_length=context,
        width=settings.size("hidden_size"),
        norm=norm,
        layers=(layer,) * settings.size("num_hidden_layers"),
        tied=settings.flag("tie_word_embeddings", False),
    )


def _attention(settings: ConfigReader, context: int, norm: Norm) -> Attention:
    head_dim = settings.divided("hidden_size", "num_attention_heads")
    settings.only("head_dim", head_dim)
    return Attention(
        settings.size("num_attention_heads"),
        settings.size("num_key_value_heads", 32),
        head_dim,
        scale=head_dim**-0.5,
        rope=settings.rope(head_dim, context),
        query_key_norm=norm if settings.flag("qk_layernorm", False) else None,
    )


def sources(model: Transformer, settings: ConfigReader) -> WeightSources:
    biases = ("qkv",) if settings.flag("use_qkv_bias", False) else ()
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
