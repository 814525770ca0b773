"""Qwen 2 and 2.5: Llama with biases of queries, keys and values, and optional windows in upper layers."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.hf.families import llama
from export.hf.families.windows import windows
from export.transformer_model.description import Layer, Transformer
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "qwen2"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 32768)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    config.only("use_mrope", False)
    attention, feed_forward = llama.attention(config, context, kv_heads=32), llama.feed_forward(config)
    layers = (Layer(replace(attention, window=window), feed_forward) for window in upper_windows(config))
    return llama.transformer(config, context, tuple(layers))


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return llama.all_sources(model, ("qkv",))


def upper_windows(config: ConfigReader) -> tuple[int | None, ...]:
    """Returns each layer's window; without `layer_types`, the layers from `max_window_layers` on have one."""
    first = config.number("max_window_layers", 28)
    return windows(config, lambda layer: layer >= first)
