"""Qwen 3: Llama with norms of queries and keys, and a window."""

from export.checkpoints.config_reader import ConfigReader
from export.keras_hub import llama, tensors
from export.transformer_model.description import Attention, Norm, Transformer
from export.transformer_model.weight_source import WeightSources

HEAD_EPSILON = 1e-5
"""Of the norms of queries and keys, whatever the settings' epsilon is."""

context = llama.context


def describe(config: ConfigReader, context: int, head: bool) -> Transformer:  # noqa: ARG001
    heads = config.size("num_query_heads")
    head_dim = config.optional_size("head_dim") or config.divided("hidden_dim", "num_query_heads")
    theta, factor = (
        config.number("rope_max_wavelength", 10_000),
        config.number("rope_scaling_factor", 1.0),
    )
    attention = Attention(
        heads,
        config.size("num_key_value_heads"),
        head_dim,
        scale=head_dim**-0.5,
        rope=tensors.rope(theta, factor, head_dim, context),
        window=config.optional_size("sliding_window_size", 32768),
        query_key_norm=Norm("rms", HEAD_EPSILON),
    )
    tied = config.flag("tie_word_embeddings", True)
    return llama.transformer(config, context, attention, tied)


def sources(model: Transformer, config: ConfigReader) -> WeightSources:  # noqa: ARG001
    return llama.decoder(model, "qwen3_transformer_decoder", "qwen3_layer_norm")
