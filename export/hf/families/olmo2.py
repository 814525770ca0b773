"""OLMo 2: Llama with norms after attention and feed-forward, and norms over all heads of queries and keys."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.hf.families import llama
from export.transformer_model.description import (
    AFTER,
    ATTENTION_OUTPUT_NORM,
    FEED_FORWARD_OUTPUT_NORM,
    Layer,
    Transformer,
)
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "olmo2"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS
context = llama.context

NORMS = {
    ATTENTION_OUTPUT_NORM: "post_attention_layernorm",
    FEED_FORWARD_OUTPUT_NORM: "post_feedforward_layernorm",
}


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    norm = llama.norm(config, 1e-5)
    attention = replace(llama.attention(config, context), query_key_norm=norm, whole_norm=True)
    layer = Layer(attention, llama.feed_forward(config), norms=AFTER)
    layers = (layer,) * config.size("num_hidden_layers")
    return llama.transformer(config, context, layers, epsilon=1e-5)


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return llama.all_sources(model, llama.biases(config), NORMS)
