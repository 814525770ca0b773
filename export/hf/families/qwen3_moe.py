"""Qwen 3 with a mixture of experts in all layers or in some."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.hf.families import llama, mixtral, qwen3
from export.transformer_model.description import Experts, FeedForward, Layer, Transformer
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "qwen3_moe"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS
context = qwen3.context

GATE_UP_DOWN = ("gate_proj", "up_proj", "down_proj")


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    attention = qwen3.normed(config, llama.attention(config, context, kv_heads=4))
    # All layers have the window, unlike in Qwen 3 without experts.
    config.unused("max_window_layers")
    window = config.optional_size("sliding_window", 4096)
    if config.flag("use_sliding_window", False):
        attention = replace(attention, window=window)
    layers = (Layer(attention, feed_forward) for feed_forward in _feed_forwards(config))
    return llama.transformer(config, context, tuple(layers))


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    found = llama.all_sources(model, llama.biases(config))
    for i, layer in enumerate(model.layers):
        if isinstance(layer.feed_forward, Experts):
            found |= mixtral.expert_sources(i, model, "mlp", GATE_UP_DOWN)
    return found


def _feed_forwards(config: ConfigReader) -> list[FeedForward | Experts]:
    """Returns each layer's feed-forward or mixture of experts."""
    dense = config.integers("mlp_only_layers") or ()
    every = config.size("decoder_sparse_step", 1)
    width = config.size("moe_intermediate_size", 768)
    renormalized = config.flag("norm_topk_prob", False)
    sparse = mixtral.experts(config, 128, 8, width, renormalized)
    plain = llama.feed_forward(config)
    return [
        plain if i in dense or (i + 1) % every else sparse for i in range(config.size("num_hidden_layers"))
    ]
