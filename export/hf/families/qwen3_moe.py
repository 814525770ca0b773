"""Qwen 3 with experts, in all layers or in some."""

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


def describe(settings: ConfigReader, context: int) -> Transformer:
    attention = qwen3.normed(settings, llama.attention(settings, context, kv_heads=4))
    # All layers have it, unlike those of Qwen 3 without experts.
    settings.unused("max_window_layers")
    window = settings.optional_size("sliding_window", 4096)
    if settings.flag("use_sliding_window", False):
        attention = replace(attention, window=window)
    layers = (Layer(attention, feed_forward) for feed_forward in _feed_forwards(settings))
    return llama.transformer(settings, context, tuple(layers))


def sources(model: Transformer, settings: ConfigReader) -> WeightSources:
    found = llama.all_sources(model, llama.biases(settings))
    for i, layer in enumerate(model.layers):
        if isinstance(layer.feed_forward, Experts):
            found |= mixtral.expert_sources(i, model, "mlp", GATE_UP_DOWN)
    return found


def _feed_forwards(settings: ConfigReader) -> list[FeedForward | Experts]:
    """Each layer's."""
    dense = settings.integers("mlp_only_layers") or ()
    every = settings.size("decoder_sparse_step", 1)
    width = settings.size("moe_intermediate_size", 768)
    renormalized = settings.flag("norm_topk_prob", False)
    sparse = mixtral.experts(settings, 128, 8, width, renormalized)
    plain = llama.feed_forward(settings)
    return [
        plain if i in dense or (i + 1) % every else sparse for i in range(settings.size("num_hidden_layers"))
    ]
