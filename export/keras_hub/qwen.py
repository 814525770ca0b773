"""Qwen 2 and 2.5: Llama with biases of queries, keys and values, and an optional window."""

from export.checkpoints.config_reader import ConfigReader
from export.keras_hub import llama
from export.transformer_model.description import Transformer
from export.transformer_model.weight_source import WeightSources

context = llama.context


def describe(config: ConfigReader, context: int, head: bool) -> Transformer:  # noqa: ARG001
    """Builds the description of the model for sequences of up to `context` tokens."""
    head_dim = config.divided("hidden_dim", "num_query_heads")
    rope = llama.linear_rope(config, head_dim, context)
    window = config.size("sliding_window_size", 32768)
    window_in_use = window if config.flag("use_sliding_window_attention", False) else None
    attention = llama.attention(config, head_dim, rope, window_in_use)
    return llama.transformer(config, context, attention, tied=config.flag("tie_word_embeddings", True))


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return llama.all_sources(model, "qwen_transformer_decoder", "qwen_layer_norm", biases=True)
