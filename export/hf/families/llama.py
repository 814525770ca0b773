"""Llama 2 and 3: RMS norms, rotary positions, grouped heads, gated feed-forward.

Mistral, Qwen, Granite and others are variants of it: they use the functions below `sources`.
"""

from collections.abc import Collection, Mapping

from export.checkpoints.config_reader import ConfigReader
from export.hf.families import parts
from export.transformer_model.description import (
    ATTENTION_NORM,
    FEED_FORWARD_NORM,
    Attention,
    FeedForward,
    Layer,
    Norm,
    Transformer,
)
from export.transformer_model.weight_source import WeightSources, joined, linear, tensor

MODEL_TYPE = "llama"
PREFIX = "model."
NOT_WEIGHTS = (".rotary_emb.inv_freq",)

NORMS = {ATTENTION_NORM: "input_layernorm", FEED_FORWARD_NORM: "post_attention_layernorm"}
ATTENTION = ("qkv", "attention_output")
"""The products to which `attention_bias` applies."""
FEED_FORWARD = ("inner", "outer")
"""The products to which `mlp_bias` applies."""


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 2048)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    config.only("rope_interleaved", False)
    config.unused("is_llama_config")
    layer = Layer(attention(config, context), feed_forward(config))
    return transformer(config, context, (layer,) * config.size("num_hidden_layers"))


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return all_sources(model, biases(config))


def attention(
    config: ConfigReader,
    context: int,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    layer_type: str | None = None,
) -> Attention:
    """Builds a layer's attention, without window.

    `kv_heads` and `head_dim` are the defaults of their keys; `layer_type` selects one of the ropes of a
    configuration that has several.
    """
    heads = config.size("num_attention_heads")
    head_dim = config.optional_size("head_dim", head_dim)
    head_dim = head_dim or config.divided("hidden_size", "num_attention_heads")
    return Attention(
        heads,
        config.size("num_key_value_heads", kv_heads or heads, null=heads),
        head_dim,
        scale=head_dim**-0.5,
        rope=config.rope(head_dim, context, layer_type),
    )


def feed_forward(config: ConfigReader) -> FeedForward:
    """Builds a layer's gated feed-forward."""
    return FeedForward(config.size("intermediate_size"), config.activation("hidden_act", "silu"), gated=True)


def transformer(
    config: ConfigReader,
    context: int,
    layers: tuple[Layer, ...],
    epsilon: float = 1e-6,
    tied: bool = False,
) -> Transformer:
    """Builds the description of a model of `layers`; `epsilon` and `tied` are the defaults of their keys."""
    return parts.transformer(config, context, norm(config, epsilon), layers, tied)


def norm(config: ConfigReader, epsilon: float = 1e-6) -> Norm:
    """Builds the model's RMS norm; `epsilon` is the default of its key."""
    return Norm("rms", config.number("rms_norm_eps", epsilon))


def biases(config: ConfigReader) -> tuple[str, ...]:
    """Returns the names of the products that have biases."""
    groups = {"attention_bias": ATTENTION, "mlp_bias": FEED_FORWARD}
    return tuple(name for key, names in groups.items() if config.flag(key, False) for name in names)


def all_sources(
    model: Transformer, biases: Collection[str] = (), norms: Mapping[str, str] = NORMS
) -> WeightSources:
    """Returns the source of each weight, except those of experts.

    `biases` names the products that have biases; `norms` maps a layer's norms to the checkpoint's names.
    """
    found = end_sources(model)
    for i, layer in enumerate(model.layers):
        found |= layer_sources(i, layer, model.width, biases)
        found |= norm_sources(i, norms, model.width)
        found |= query_key_norm_sources(i, layer.attention)
        if isinstance(layer.feed_forward, FeedForward):
            found |= feed_forward_sources(i, layer, model.width, "inner" in biases)
    return found


def end_sources(model: Transformer) -> WeightSources:
    """Returns the sources of the embedding, of the last norm and, unless it is tied, of the head."""
    found = {
        "embedding": tensor("embed_tokens.weight", model.vocabulary_size, model.width),
        "final_norm.scale": tensor("norm.weight", model.width),
    }
    if not model.tied:
        found["head.kernel"] = tensor("lm_head.weight", model.vocabulary_size, model.width)
    return found


def norm_sources(index: int, names: Mapping[str, str], width: int) -> WeightSources:
    """Returns the sources of a layer's norms; `names` maps them to their names in the checkpoint."""
    return {
        f"layers.{index}.{name}.scale": tensor(f"layers.{index}.{stored}.weight", width)
        for name, stored in names.items()
    }


def query_key_norm_sources(index: int, attention: Attention) -> WeightSources:
    """Returns the sources of the norms of queries and keys; empty where there are none."""
    if attention.query_key_norm is None:
        return {}
    size = attention.head_dim
    sizes = (attention.width, attention.kv_width) if attention.whole_norm else (size, size)
    return {
        f"layers.{index}.{name}_norm.scale": tensor(f"layers.{index}.self_attn.{name[0]}_norm.weight", size)
        for name, size in zip(("query", "key"), sizes, strict=True)
    }


def layer_sources(index: int, layer: Layer, width: int, biases: Collection[str] = ()) -> WeightSources:
    """Returns the sources of a layer's attention products; `biases` names those that have biases."""
    name, stored, attention = f"layers.{index}", f"layers.{index}.self_attn", layer.attention
    widths = {"q": attention.width, "k": attention.kv_width, "v": attention.kv_width}
    found = {
        f"{name}.qkv.kernel": joined(
            *(linear(f"{stored}.{p}_proj.weight", width, n) for p, n in widths.items())
        ),
        f"{name}.attention_output.kernel": linear(f"{stored}.o_proj.weight", attention.width, width),
    }
    if "qkv" in biases:
        found[f"{name}.qkv.bias"] = joined(*(tensor(f"{stored}.{p}_proj.bias", n) for p, n in widths.items()))
    if "attention_output" in biases:
        found[f"{name}.attention_output.bias"] = tensor(f"{stored}.o_proj.bias", width)
    return found


def feed_forward_sources(index: int, layer: Layer, width: int, biases: bool = False) -> WeightSources:
    """Returns the sources of a gated feed-forward's products, with biases where `biases` is true."""
    assert isinstance(layer.feed_forward, FeedForward)
    name, stored, inner = f"layers.{index}", f"layers.{index}.mlp", layer.feed_forward.width
    found = {
        f"{name}.inner.kernel": joined(
            *(linear(f"{stored}.{part}_proj.weight", width, inner) for part in ("gate", "up"))
        ),
        f"{name}.outer.kernel": linear(f"{stored}.down_proj.weight", inner, width),
    }
    if biases:
        found[f"{name}.inner.bias"] = joined(
            *(tensor(f"{stored}.{part}_proj.bias", inner) for part in ("gate", "up"))
        )
        found[f"{name}.outer.bias"] = tensor(f"{stored}.down_proj.bias", width)
    return found
