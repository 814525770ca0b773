"""Gemma 2: Gemma with norms before and after each block, soft caps, and a window in every other layer."""

from collections.abc import Mapping
from dataclasses import replace

from export.checkpoints.config_reader import FULL, SLIDING, ConfigReader
from export.hf.families import gemma, llama
from export.transformer_model.description import (
    AROUND,
    ATTENTION_NORM,
    ATTENTION_OUTPUT_NORM,
    FEED_FORWARD_NORM,
    FEED_FORWARD_OUTPUT_NORM,
    Attention,
    FeedForward,
    Layer,
    Transformer,
)
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "gemma2"
PREFIX = gemma.PREFIX
NOT_WEIGHTS = gemma.NOT_WEIGHTS
context = gemma.context

NORMS = {
    ATTENTION_NORM: "input_layernorm",
    ATTENTION_OUTPUT_NORM: "post_attention_layernorm",
    FEED_FORWARD_NORM: "pre_feedforward_layernorm",
    FEED_FORWARD_OUTPUT_NORM: "post_feedforward_layernorm",
}


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    cap = config.optional_number("attn_logit_softcapping", 50.0)
    full = replace(attention(config, context), soft_cap=cap)
    attentions = {FULL: full, SLIDING: replace(full, window=window(config))}
    return transformer(config, context, attentions, full_every=2, logit_soft_cap=30.0)


def attention(config: ConfigReader, context: int, layer_type: str | None = None) -> Attention:
    """Builds a layer's attention without window and soft cap; `layer_type` selects the rope."""
    config.only("use_bidirectional_attention", False)
    plain = llama.attention(config, context, kv_heads=4, head_dim=256, layer_type=layer_type)
    return replace(plain, scale=config.number("query_pre_attn_scalar", 256) ** -0.5)


def window(config: ConfigReader) -> int | None:
    """Returns the window of the sliding layers in tokens."""
    return config.optional_size("sliding_window", 4096)


def transformer(
    config: ConfigReader,
    context: int,
    attentions: Mapping[str, Attention],
    full_every: int,
    logit_soft_cap: float | None,
) -> Transformer:
    """Builds the description of a model whose layers have the attention of their layer type.

    Without `layer_types`, every `full_every`-th layer has full attention and the others slide.
    `logit_soft_cap` is the default of the key.
    """
    config.unused("hidden_act")
    activation = config.activation("hidden_activation", "gelu_pytorch_tanh")
    feed_forward = FeedForward(config.size("intermediate_size"), activation, gated=True)
    count = config.size("num_hidden_layers")
    pattern = [SLIDING if (i + 1) % full_every else FULL for i in range(count)]
    types = config.layer_types(count) or pattern
    layers = [Layer(attentions[each], feed_forward, AROUND) for each in types]
    cap = config.optional_number("final_logit_softcapping", logit_soft_cap)
    return replace(gemma.transformer(config, context, tuple(layers)), logit_soft_cap=cap)


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return gemma.all_sources(model, config, NORMS)
