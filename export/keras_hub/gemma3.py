"""Gemma 3, text only: Gemma with norms of queries and keys, and a window in five of six layers."""

from export.checkpoints.config_reader import ConfigReader
from export.keras_hub import gemma, tensors
from export.transformer_model.description import Norm, Transformer
from export.transformer_model.weight_source import WeightSources

LOCAL, GLOBAL = 10_000, 1_000_000
"""The maximum wavelengths of the ropes, in layers with a window and in the others."""

context = gemma.context


def describe(config: ConfigReader, context: int, head: bool) -> Transformer:  # noqa: ARG001
    """Builds the description of the model for sequences of up to `context` tokens."""
    config.only("vision_encoder", None)
    config.only("is_embedding_model", False)
    config.only("use_bidirectional_attention", False)
    config.unused("image_size", "pooling_intermediate_dim", "embedding_dim")
    head_dim, inner = config.size("head_dim"), config.size("intermediate_dim")
    norm = Norm("rms", gemma.EPSILON) if config.flag("use_query_key_norm", True) else None
    window = config.size("sliding_window_size", 1024)
    near = tensors.rope(LOCAL, config.number("local_rope_scaling_factor", 1.0), head_dim, context)
    far = tensors.rope(GLOBAL, config.number("global_rope_scaling_factor", 1.0), head_dim, context)
    windowed = gemma.attention(config, near, window, norm)
    whole = gemma.attention(config, far, None, norm)
    sliding = config.flag("use_sliding_window_attention", False)
    each = [windowed if sliding and i % 6 < 5 else whole for i in range(config.size("num_layers"))]
    return gemma.transformer(config, context, tuple(gemma.layer(config, one, inner) for one in each))


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return gemma.all_sources(model, "gemma3_decoder_block")
