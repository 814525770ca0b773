"""Qwen 2: Llama with biases of queries, keys and values."""

from export.checkpoints.config_reader import ConfigReader
from export.keras_hub import llama, tensors
from export.transformer_model.description import Attention, Transformer
from export.transformer_model.weight_source import WeightSources

context = llama.context


def describe(config: ConfigReader, context: int, head: bool) -> Transformer:  # noqa: ARG001
    heads, head_dim = config.size("num_query_heads"), config.divided("hidden_dim", "num_query_heads")
    theta, factor = (
        config.number("rope_max_wavelength", 10_000),
        config.number("rope_scaling_factor", 1.0),
    )
    window = config.size("sliding_window_size", 32768)
    attention = Attention(
        heads,
        config.size("num_key_value_heads"),
        head_dim,
        scale=head_dim**-0.5,
        rope=tensors.rope(theta, factor, head_dim, context),
        window=window if config.flag("use_sliding_window_attention", False) else None,
    )
    tied = config.flag("tie_word_embeddings", True)
    return llama.transformer(config, context, attention, tied)


def sources(model: Transformer, config: ConfigReader) -> WeightSources:  # noqa: ARG001
    return llama.decoder(model, "qwen_transformer_decoder", "qwen_layer_norm", biases=True)
