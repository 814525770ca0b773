"""Mistral: Llama without biases, and a window in every layer."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.hf.families import llama
from export.transformer_model.description import Layer, Transformer
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "mistral"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 131072)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    config.only("attention_bias", False)
    # Without the key the window is 4096; null means that there is no window.
    window = config.optional_size("sliding_window", 4096)
    attention = replace(llama.attention(config, context, kv_heads=8), window=window)
    layer = Layer(attention, llama.feed_forward(config))
    return llama.transformer(config, context, (layer,) * config.size("num_hidden_layers"))


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return llama.all_sources(model)
