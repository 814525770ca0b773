"""Qwen 2 and 2.5: Llama with biases of queries, keys and values, and a window in the upper layers."""

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
    return config.size("max_position_embeddings", 32768)


def describe(config: ConfigReader, context: int) -> Transformer:
    config.only("use_mrope", False)
    attention, feed_forward = llama.attention(config, context, kv_heads=32), llama.feed_forward(config)
    layers = (Layer(replace(attention, window=window), feed_forward) for window in upper_windows(config))
    return llama.transformer(config, context, tuple(layers))


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    return llama.all_sources(model, ("qkv",))


def upper_windows(config: ConfigReader) -> tuple[int | None, ...]:
    """Each layer's window."""
    first = config.number("max_window_layers", 28)
    return windows(config, lambda layer: layer >= first)
