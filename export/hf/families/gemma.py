"""Gemma: Llama with scaled embeddings, and norms whose scales are stored less one.

Gemma 2 and 3 are this with other layers.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from contract.tensors import Array
from export.checkpoints.config_reader import ConfigReader
from export.hf.families import llama
from export.transformer_model.description import FeedForward, Layer, Transformer
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "gemma"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS


def context(settings: ConfigReader) -> int:
    return settings.size("max_position_embeddings", 8192)


def describe(settings: ConfigReader, context: int) -> Transformer:
    settings.only("use_bidirectional_attention", False)
    settings.unused("hidden_activation")
    layer = Layer(llama.attention(settings, context, kv_heads=16, head_dim=256), _feed_forward(settings))
    return transformer(settings, context, (layer,) * settings.size("num_hidden_layers"))


def _feed_forward(settings: ConfigReader) -> FeedForward:
    # The first published files say "gelu" and mean its approximation.
    given = settings.activation("hidden_act", "gelu_pytorch_tanh")
    activation = "gelu_tanh" if given == "gelu" else given
    return FeedForward(settings.size("intermediate_size"), activation, gated=True)


def transformer(settings: ConfigReader, context: int, layers: tuple[Layer, ...]) -> Transformer:
    model = llama.transformer(settings, context, layers, tied=True)
    return replace(model, embedding_scale=model.width**0.5)


def sources(model: Transformer, settings: ConfigReader) -> WeightSources:
    return all_sources(model, settings, llama.NORMS)


def all_sources(model: Transformer, settings: ConfigReader, norms: Mapping[str, str]) -> WeightSources:
    """Every weight; `norms` has their own names."""
    biases = llama.ATTENTION if settings.flag("attention_bias", False) else ()
    found = llama.all_sources(model, biases, norms)
    scales = {name: source.then(_one_more) for name, source in found.items() if name.endswith(".scale")}
    return found | scales


def _one_more(weight: Array) -> Array:
    return 1 + weight.astype(np.float32)
