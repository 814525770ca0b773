"""Gemma 3 for text: Gemma with norms of queries and keys, and a window in five layers of six."""

from export.checkpoints.config_reader import ConfigReader
from export.keras_hub import gemma, tensors
from export.transformer_model.description import Norm, Transformer
from export.transformer_model.weight_source import WeightSources

LOCAL, GLOBAL = 10_000, 1_000_000
"""Wavelengths of layers with a window and of the others."""

context = gemma.context


def describe(settings: ConfigReader, context: int, head: bool) -> Transformer:  # noqa: ARG001
    settings.only("vision_encoder", None)
    settings.only("is_embedding_model", False)
    settings.only("use_bidirectional_attention", False)
    settings.unused("image_size", "pooling_intermediate_dim", "embedding_dim")
    head_dim, inner = settings.size("head_dim"), settings.size("intermediate_dim")
    norm = Norm("rms", gemma.EPSILON) if settings.flag("use_query_key_norm", True) else None
    window = settings.size("sliding_window_size", 1024)
    near = tensors.rope(LOCAL, settings.number("local_rope_scaling_factor", 1.0), head_dim, context)
    far = tensors.rope(GLOBAL, settings.number("global_rope_scaling_factor", 1.0), head_dim, context)
    windowed = gemma.attention(settings, near, window, norm)
    whole = gemma.attention(settings, far, None, norm)
    sliding = settings.flag("use_sliding_window_attention", False)
    each = [windowed if sliding and i % 6 < 5 else whole for i in range(settings.size("num_layers"))]
    return gemma.transformer(settings, context, tuple(gemma.layer(settings, one, inner) for one in each))


def sources(model: Transformer, settings: ConfigReader) -> WeightSources:  # noqa: ARG001
    return gemma.decoder(model, "gemma3_decoder_block")
