"""Phi 3 and 4: Llama with fused products, windows, longrope, and rotary positions in a part of each head."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.hf.families import llama
from export.hf.families.parts import product
from export.transformer_model.description import FeedForward, Layer, Transformer
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "phi3"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 4096)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    # Published configurations have these keys; the transformers library does not read them.
    for key in ("attention_bias", "mlp_bias", "lm_head_bias"):
        config.only(key, False)
    for key in ("full_attn_mod", "interpolate_factor"):
        config.only(key, 1)
    attention = replace(llama.attention(config, context), window=config.optional_size("sliding_window"))
    layer = Layer(attention, llama.feed_forward(config))
    layers = (layer,) * config.size("num_hidden_layers")
    return llama.transformer(config, context, layers, epsilon=1e-5)


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    found = llama.end_sources(model)
    for i, layer in enumerate(model.layers):
        found |= llama.norm_sources(i, llama.NORMS, model.width)
        for name, (stored, inputs, outputs) in _products(layer, model.width).items():
            found |= product(f"layers.{i}.{name}", f"layers.{i}.{stored}", inputs, outputs, bias=False)
    return found


def _products(layer: Layer, width: int) -> dict[str, tuple[str, int, int]]:
    """Returns each product's name in the checkpoint and its numbers of inputs and outputs."""
    assert isinstance(layer.feed_forward, FeedForward)
    attention, inner = layer.attention, layer.feed_forward.width
    return {
        "qkv": ("self_attn.qkv_proj", width, attention.width + 2 * attention.kv_width),
        "attention_output": ("self_attn.o_proj", attention.width, width),
        "inner": ("mlp.gate_up_proj", width, 2 * inner),
        "outer": ("mlp.down_proj", inner, width),
    }
