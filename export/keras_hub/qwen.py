"""Qwen 2: Llama with biases of queries, keys and values."""

from export.checkpoints.config_reader import ConfigReader
from export.keras_hub import llama, tensors
from export.transformer_model.description import Attention, Transformer
from export.transformer_model.weight_source import WeightSources

context = llama.context


def describe(settings: ConfigReader, context: int, head: bool) -> Transformer:  # noqa: ARG001
    heads, head_dim = settings.size("num_query_heads"), settings.divided("hidden_dim", "num_query_heads")
    theta, factor = (
        settings.number("rope_max_wavelength", 10_000),
        settings.number("rope_scaling_factor", 1.0),
    )
    window = settings.size("sliding_window_size", 32768)
    attention = Attention(
        heads,
        settings.size("num_key_value_heads"),
        head_dim,
        scale=head_dim**-0.5,
        rope=tensors.rope(theta, factor, head_dim, context),
        window=window if settings.flag("use_sliding_window_attention", False) else None,
    )
    tied = settings.flag("tie_word_embeddings", True)
    return llama.transformer(settings, context, attention, tied)


def sources(model: Transformer, settings: ConfigReader) -> WeightSources:  # noqa: ARG001
    return llama.decoder(model, "qwen_transformer_decoder", "qwen_layer_norm", biases=True)
