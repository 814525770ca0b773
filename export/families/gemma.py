"""Gemma: Llama with scaled embeddings, and norms whose scales are stored less one.

Gemma 2 and 3 are this with other layers.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from export.description import FeedForward, Layer, Transformer
from export.families import llama
from export.settings import Settings
from export.source import Array, Sources

MODEL_TYPE = "gemma"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS


def context(settings: Settings) -> int:
    return settings.size("max_position_embeddings", 8192)


def describe(settings: Settings, context: int) -> Transformer:
    settings.only("use_bidirectional_attention", False)
    settings.unused("hidden_activation")
    layer = Layer(llama.attention(settings, context, kv_heads=16, head_dim=256), _feed_forward(settings))
    return transformer(settings, context, (layer,) * settings.size("num_hidden_layers"))


def _feed_forward(settings: Settings) -> FeedForward:
    # The first published files say "gelu" and mean its approximation.
    given = settings.activation("hidden_act", "gelu_pytorch_tanh")
    activation = "gelu_tanh" if given == "gelu" else given
    return FeedForward(settings.size("intermediate_size"), activation, gated=True)


def transformer(settings: Settings, context: int, layers: tuple[Layer, ...]) -> Transformer:
    model = llama.transformer(settings, context, layers, tied=True)
    return replace(model, embedding_scale=model.width**0.5)


def sources(model: Transformer, settings: Settings) -> Sources:
    return all_sources(model, settings, llama.NORMS)


def all_sources(model: Transformer, settings: Settings, norms: Mapping[str, str]) -> Sources:
    """Every weight; `norms` has their own names."""
    biases = llama.ATTENTION if settings.flag("attention_bias", False) else ()
    found = llama.all_sources(model, biases, norms)
    scales = {name: source.then(_one_more) for name, source in found.items() if name.endswith(".scale")}
    return found | scales


def _one_more(weight: Array) -> Array:
    return 1 + weight.astype(np.float32)
