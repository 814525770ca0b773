"""Mistral: Llama without biases, and a window in every layer."""

from dataclasses import replace

from export.description import Layer, Transformer
from export.families import llama
from export.settings import Settings
from export.source import Sources

MODEL_TYPE = "mistral"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS


def context(settings: Settings) -> int:
    return settings.size("max_position_embeddings", 131072)


def describe(settings: Settings, context: int) -> Transformer:
    settings.only("attention_bias", False)
    # Without the key there is a window; null is none.
    window = settings.optional_size("sliding_window", 4096)
    attention = replace(llama.attention(settings, context, kv_heads=8), window=window)
    layer = Layer(attention, llama.feed_forward(settings))
    return llama.transformer(settings, context, (layer,) * settings.size("num_hidden_layers"))


def sources(model: Transformer, _: Settings) -> Sources:
    return llama.all_sources(model)
