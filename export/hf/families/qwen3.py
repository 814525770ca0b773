"""Qwen 3: Llama with norms of each head's queries and keys, and the windows of Qwen 2."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.hf.families import llama, qwen2
from export.transformer_model.description import Attention, Layer, Transformer
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "qwen3"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS
context = qwen2.context


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    attention = normed(config, llama.attention(config, context, kv_heads=32, head_dim=128))
    feed_forward = llama.feed_forward(config)
    windows = qwen2.upper_windows(config)
    layers = (Layer(replace(attention, window=window), feed_forward) for window in windows)
    return llama.transformer(config, context, tuple(layers))


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return llama.all_sources(model, llama.biases(config))


def normed(config: ConfigReader, attention: Attention) -> Attention:
    """Returns `attention` with norms of each head's queries and keys."""
    return replace(attention, query_key_norm=llama.norm(config))
