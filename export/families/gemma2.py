"""Gemma 2: Gemma with norms before and after, soft caps, and windows in every other layer."""

from collections.abc import Mapping
from dataclasses import replace

from export.description import AROUND, Attention, FeedForward, Layer, Transformer
from export.families import gemma
from export.settings import FULL, SLIDING, Settings
from export.source import Sources

MODEL_TYPE = "gemma2"
PREFIX = gemma.PREFIX
NOT_WEIGHTS = gemma.NOT_WEIGHTS

NORMS = {
    "attention_norm": "input_layernorm",
    "attention_output_norm": "post_attention_layernorm",
    "feed_forward_norm": "pre_feedforward_layernorm",
    "feed_forward_output_norm": "post_feedforward_layernorm",
}


def context(settings: Settings) -> int:
    return settings.size("max_position_embeddings", 8192)


def describe(settings: Settings, context: int) -> Transformer:
    plain = attention(settings)
    cap = settings.optional_number("attn_logit_softcapping", 50.0)
    full = replace(plain, rope=settings.rope(plain.head_dim, context), soft_cap=cap)
    sliding = replace(full, window=window(settings))
    layers = alternating(settings, {FULL: full, SLIDING: sliding}, full_every=2)
    return gemma.transformer(
        settings, context, layers, settings.optional_number("final_logit_softcapping", 30.0)
    )


def attention(settings: Settings) -> Attention:
    """What all layers have in common."""
    settings.only("use_bidirectional_attention", False)
    return Attention(
        settings.size("num_attention_heads", 8),
        settings.size("num_key_value_heads", 4),
        settings.size("head_dim", 256),
        scale=settings.number("query_pre_attn_scalar", 256) ** -0.5,
    )


def window(settings: Settings) -> int | None:
    return settings.optional_size("sliding_window", 4096)


def alternating(
    settings: Settings, attentions: Mapping[str, Attention], full_every: int
) -> tuple[Layer, ...]:
    """Layers with the attention of their types, which follow a pattern where they are not given."""
    settings.unused("hidden_act")
    activation = settings.activation("hidden_activation", "gelu_pytorch_tanh")
    feed_forward = FeedForward(settings.size("intermediate_size"), activation, gated=True)
    count = settings.size("num_hidden_layers")
    pattern = [SLIDING if (i + 1) % full_every else FULL for i in range(count)]
    types = settings.layer_types(count) or pattern
    return tuple(Layer(attentions[each], feed_forward, AROUND) for each in types)


def sources(model: Transformer, settings: Settings) -> Sources:
    return gemma.scaled_by_one_more(gemma.layered_sources(model, settings, NORMS))
