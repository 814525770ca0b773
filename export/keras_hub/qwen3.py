"""Qwen 3: Llama with norms of queries and keys, and a window."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.keras_hub import llama
from export.transformer_model.description import Norm, Transformer
from export.transformer_model.weight_source import WeightSources

HEAD_EPSILON = 1e-5
"""The epsilon of the norms of queries and keys; KerasHub does not take it from the configuration."""

context = llama.context


def describe(config: ConfigReader, context: int, head: bool) -> Transformer:  # noqa: ARG001
    """Builds the description of the model for sequences of up to `context` tokens."""
    head_dim = config.optional_size("head_dim") or config.divided("hidden_dim", "num_query_heads")
    rope = llama.linear_rope(config, head_dim, context)
    window = config.optional_size("sliding_window_size", 32768)
    attention = llama.attention(config, head_dim, rope, window)
    normed = replace(attention, query_key_norm=Norm("rms", HEAD_EPSILON))
    return llama.transformer(config, context, normed, tied=config.flag("tie_word_embeddings", True))


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return llama.all_sources(model, "qwen3_transformer_decoder", "qwen3_layer_norm")
