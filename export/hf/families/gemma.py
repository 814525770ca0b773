"""Gemma: Llama with scaled embeddings, and norms whose stored weights are the scale minus one.

Gemma 2 and 3 use `transformer` and `all_sources` with their own layers.
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


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 8192)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    config.only("use_bidirectional_attention", False)
    config.unused("hidden_activation")
    layer = Layer(llama.attention(config, context, kv_heads=16, head_dim=256), _feed_forward(config))
    return transformer(config, context, (layer,) * config.size("num_hidden_layers"))


def _feed_forward(config: ConfigReader) -> FeedForward:
    # The first published configurations have "gelu" and mean its tanh approximation.
    activation = config.activation("hidden_act", "gelu_pytorch_tanh")
    if activation == "gelu":
        activation = "gelu_tanh"
    return FeedForward(config.size("intermediate_size"), activation, gated=True)


def transformer(config: ConfigReader, context: int, layers: tuple[Layer, ...]) -> Transformer:
    """Builds the description of a model of `layers`, with Gemma's scale of the embeddings."""
    model = llama.transformer(config, context, layers, tied=True)
    return replace(model, embedding_scale=model.width**0.5)


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return all_sources(model, config, llama.NORMS)


def all_sources(model: Transformer, config: ConfigReader, norms: Mapping[str, str]) -> WeightSources:
    """Returns the source of each weight; `norms` maps a layer's norms to their names in the checkpoint."""
    biases = llama.ATTENTION if config.flag("attention_bias", False) else ()
    found = llama.all_sources(model, biases, norms)
    scales = {name: source.then(_plus_one) for name, source in found.items() if name.endswith(".scale")}
    return found | scales


def _plus_one(weight: Array) -> Array:
    return 1 + weight.astype(np.float32)
