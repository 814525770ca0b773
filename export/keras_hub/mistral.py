"""Mistral: Llama with a window, and a head that is not tied to the embedding."""

from export.checkpoints.config_reader import ConfigReader
from export.keras_hub import llama
from export.transformer_model.description import Transformer
from export.transformer_model.weight_source import WeightSources

context = llama.context


def describe(config: ConfigReader, context: int, head: bool) -> Transformer:  # noqa: ARG001
    """Builds the description of the model for sequences of up to `context` tokens."""
    head_dim = config.optional_size("head_dim") or config.divided("hidden_dim", "num_query_heads")
    rope = llama.linear_rope(config, head_dim, context)
    window = config.optional_size("sliding_window", 512)
    return llama.transformer(config, context, llama.attention(config, head_dim, rope, window), tied=False)


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return llama.all_sources(model, "mistral_transformer_decoder", "mistral_layer_normalization")
