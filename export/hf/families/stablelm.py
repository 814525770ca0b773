"""StableLM: Llama with layer norms, rotary positions in a part of each head, and optional parallel layers."""

import numpy as np

from export.checkpoints.config_reader import ConfigReader
from export.hf.families.llama import end_sources, feed_forward_sources, layer_sources
from export.hf.families.parts import layer_norm, transformer
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
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 4096)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
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
    return transformer(config, context, norm, (layer,) * config.size("num_hidden_layers"), tied=False)


def _attention(config: ConfigReader, context: int, norm: Norm) -> Attention:
    """Builds the attention of each layer."""
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
    """Returns the source of each weight of `model`, by the name of the weight."""
    biases = ("qkv",) if config.flag("use_qkv_bias", False) else ()
    found = end_sources(model) | layer_norm("final_norm", "norm", model.width)
    for i, layer in enumerate(model.layers):
        found |= layer_sources(i, layer, model.width, biases)
        found |= feed_forward_sources(i, layer, model.width)
        found |= _norms(f"layers.{i}", layer, model.width)
    return found


def _norms(name: str, layer: Layer, width: int) -> WeightSources:
    """Returns the sources of the norms of the layer `name`, which has the same name in the checkpoint."""
    attention, block = layer.attention, f"{name}.self_attn"
    found = layer_norm(f"{name}.attention_norm", f"{name}.input_layernorm", width)
    if not layer.parallel:
        found |= layer_norm(f"{name}.feed_forward_norm", f"{name}.post_attention_layernorm", width)
    if attention.query_key_norm is not None:
        found[f"{name}.query_norm.scale"] = _scales(f"{block}.q_layernorm", attention.heads, attention)
        found[f"{name}.key_norm.scale"] = _scales(f"{block}.k_layernorm", attention.kv_heads, attention)
    return found


def _scales(stored: str, count: int, attention: Attention) -> WeightSource:
    """Returns the source of the scales of `count` heads: (count, head_dim)."""
    heads = (tensor(f"{stored}.norms.{head}.weight", attention.head_dim) for head in range(count))
    return together(lambda *scales: np.stack(scales), *heads)
