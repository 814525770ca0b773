"""Llama 2 and 3: RMS norms, rotary positions, gated feed-forward; grouped heads.

Mistral, Qwen, Granite and others are this with other config: they use what is below `sources`.
"""

from collections.abc import Collection, Mapping

from export.checkpoints.config_reader import ConfigReader
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
"""Products that have biases together."""
FEED_FORWARD = ("inner", "outer")


def context(config: ConfigReader) -> int:
    return config.size("max_position_embeddings", 2048)


def describe(config: ConfigReader, context: int) -> Transformer:
    config.only("rope_interleaved", False)
    config.unused("is_llama_config")
    layer = Layer(attention(config, context), feed_forward(config))
    return transformer(config, context, (layer,) * config.size("num_hidden_layers"))


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    return all_sources(model, biases(config))


def attention(
    config: ConfigReader,
    context: int,
    kv_heads: int | None = None,
    head_dim: int | None = None,
    layer_type: str | None = None,
) -> Attention:
    """`kv_heads` and `head_dim` are those of configurations without the keys; `layer_type` chooses a rope."""
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
    return FeedForward(config.size("intermediate_size"), config.activation("hidden_act", "silu"), gated=True)


def transformer(
    config: ConfigReader,
    context: int,
    layers: tuple[Layer, ...],
    epsilon: float = 1e-6,
    tied: bool = False,
) -> Transformer:
    """`epsilon` and `tied` are those of configurations without the keys."""
    return Transformer(
        vocabulary_size=config.size("vocab_size"),
        context_length=context,
        width=config.size("hidden_size"),
        norm=norm(config, epsilon),
        layers=layers,
        tied=config.flag("tie_word_embeddings", tied),
    )


def norm(config: ConfigReader, epsilon: float = 1e-6) -> Norm:
    return Norm("rms", config.number("rms_norm_eps", epsilon))


def biases(config: ConfigReader) -> tuple[str, ...]:
    """The products that have some."""
    groups = {"attention_bias": ATTENTION, "mlp_bias": FEED_FORWARD}
    return tuple(name for key, names in groups.items() if config.flag(key, False) for name in names)


def all_sources(
    model: Transformer, biases: Collection[str] = (), norms: Mapping[str, str] = NORMS
) -> WeightSources:
    """Every weight but those of experts; `biases` names products, `norms` has their own names."""
    found = end_sources(model)
    for i, layer in enumerate(model.layers):
        found |= layer_sources(i, layer, model.width, biases)
        found |= norm_sources(i, norms, model.width)
        found |= query_key_norm_sources(i, layer.attention)
        if isinstance(layer.feed_forward, FeedForward):
            found |= feed_forward_sources(i, layer, model.width, "inner" in biases)
    return found


def end_sources(model: Transformer) -> WeightSources:
    """What comes before and after the layers."""
    found = {
        "embedding": tensor("embed_tokens.weight", model.vocabulary_size, model.width),
        "final_norm.scale": tensor("norm.weight", model.width),
    }
    if not model.tied:
        found["head.kernel"] = tensor("lm_head.weight", model.vocabulary_size, model.width)
    return found


def norm_sources(index: int, names: Mapping[str, str], width: int) -> WeightSources:
    """The norms of a layer, by their names here and there."""
    return {
        f"layers.{index}.{name}.scale": tensor(f"layers.{index}.{own}.weight", width)
        for name, own in names.items()
    }


def query_key_norm_sources(index: int, attention: Attention) -> WeightSources:
    """The norms of queries and keys, where there are any."""
    if attention.query_key_norm is None:
        return {}
    one = attention.head_dim
    sizes = (attention.width, attention.kv_width) if attention.whole_norm else (one, one)
    return {
        f"layers.{index}.{name}_norm.scale": tensor(f"layers.{index}.self_attn.{name[0]}_norm.weight", size)
        for name, size in zip(("query", "key"), sizes, strict=True)
    }


def layer_sources(index: int, layer: Layer, width: int, biases: Collection[str] = ()) -> WeightSources:
    """Attention's products; those that `biases` names have some."""
    here, there, attention = f"layers.{index}", f"layers.{index}.self_attn", layer.attention
    parts = {"q": attention.width, "k": attention.kv_width, "v": attention.kv_width}
    found = {
        f"{here}.qkv.kernel": joined(
            *(linear(f"{there}.{p}_proj.weight", width, n) for p, n in parts.items())
        ),
        f"{here}.attention_output.kernel": linear(f"{there}.o_proj.weight", attention.width, width),
    }
    if "qkv" in biases:
        found[f"{here}.qkv.bias"] = joined(*(tensor(f"{there}.{p}_proj.bias", n) for p, n in parts.items()))
    if "attention_output" in biases:
        found[f"{here}.attention_output.bias"] = tensor(f"{there}.o_proj.bias", width)
    return found


def feed_forward_sources(index: int, layer: Layer, width: int, biases: bool = False) -> WeightSources:
    """The gated feed-forward's products."""
    assert isinstance(layer.feed_forward, FeedForward)
    here, there, inner = f"layers.{index}", f"layers.{index}.mlp", layer.feed_forward.width
    found = {
        f"{here}.inner.kernel": joined(
            *(linear(f"{there}.{part}_proj.weight", width, inner) for part in ("gate", "up"))
        ),
        f"{here}.outer.kernel": linear(f"{there}.down_proj.weight", inner, width),
    }
    if biases:
        found[f"{here}.inner.bias"] = joined(
            *(tensor(f"{there}.{part}_proj.bias", inner) for part in ("gate", "up"))
        )
        found[f"{here}.outer.bias"] = tensor(f"{there}.down_proj.bias", width)
    return found
