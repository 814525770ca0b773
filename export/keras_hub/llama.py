"""Llama 2 and 3: RMS norms, rotary positions, grouped heads, gated feed-forward.

Mistral and Qwen are variants of it with other names of tensors: they use the functions of this module.
"""

from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError
from export.keras_hub import tensors
from export.transformer_model import rope as ropes
from export.transformer_model.description import Attention, FeedForward, Layer, Norm, Transformer
from export.transformer_model.rope import Rope
from export.transformer_model.weight_source import WeightSources, joined

NORMS = {"attention_norm": "self_attention_layernorm", "feed_forward_norm": "feedforward_layernorm"}

# KerasHub's names of the keys that `transformer_model.rope` reads.
FREQUENCIES = {
    "factor": "rope_frequency_adjustment_factor",
    "low_freq_factor": "rope_low_freq_factor",
    "high_freq_factor": "rope_high_freq_factor",
    "original_max_position_embeddings": "rope_pretraining_sequence_length",
}


def context(_: ConfigReader) -> None:
    """Returns None: the backbone's positions are unlimited."""


def describe(config: ConfigReader, context: int, head: bool) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    head_dim = config.divided("hidden_dim", "num_query_heads")
    # KerasHub's layers do not read the key.
    config.only("rope_position_scaling_factor", 1.0)
    rope = _rope(config, head_dim, context)
    # KerasHub does not save tie_word_embeddings.
    tied = config.flag("tie_word_embeddings", not head)
    return transformer(config, context, attention(config, head_dim, rope), tied)


def _rope(config: ConfigReader, head_dim: int, context: int) -> Rope:
    """Builds the rope, scaled as in Llama 3.1 where the keys of FREQUENCIES are given: all or none."""
    scaling = {name: config.optional_number(key) for name, key in FREQUENCIES.items()}
    theta = config.number("rope_max_wavelength", 10_000)
    if all(value is None for value in scaling.values()):
        return tensors.rope(theta, 1.0, head_dim, context)
    if missing := [FREQUENCIES[name] for name, value in scaling.items() if value is None]:
        raise SourceError(f"{missing[0]} is missing; the rope's frequency settings must be given together")
    llama3 = {"rope_type": "llama3", **scaling}
    return ropes.read({"rope_theta": theta, "rope_scaling": llama3}, head_dim, context)


def linear_rope(config: ConfigReader, head_dim: int, context: int) -> Rope:
    """Builds the rope of Mistral and Qwen, slowed by `rope_scaling_factor`."""
    theta, factor = config.number("rope_max_wavelength", 10_000), config.number("rope_scaling_factor", 1.0)
    return tensors.rope(theta, factor, head_dim, context)


def attention(config: ConfigReader, head_dim: int, rope: Rope, window: int | None = None) -> Attention:
    """Builds the attention of each layer; `window` is in tokens."""
    return Attention(
        config.size("num_query_heads"),
        config.size("num_key_value_heads"),
        head_dim,
        scale=head_dim**-0.5,
        rope=rope,
        window=window,
    )


def transformer(config: ConfigReader, context: int, attention: Attention, tied: bool) -> Transformer:
    """Builds the description of a model whose layers all have the same attention."""
    feed_forward = FeedForward(config.size("intermediate_dim"), "silu", gated=True)
    return Transformer(
        vocabulary_size=config.size("vocabulary_size"),
        context_length=context,
        width=config.size("hidden_dim"),
        norm=Norm("rms", config.number("layer_norm_epsilon", 1e-6)),
        layers=(Layer(attention, feed_forward),) * config.size("num_layers"),
        tied=tied,
    )


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return all_sources(model, "llama_transformer_decoder", "llama_layer_norm")


def all_sources(model: Transformer, layer: str, norm: str, biases: bool = False) -> WeightSources:
    """Returns the source of each weight; `layer` and `norm` are the classes' names in snake case.

    `biases`: queries, keys and values have biases.
    """
    found = tensors.end_sources(model) | {"final_norm.scale": tensors.scale(f"layers/{norm}", model.width)}
    for i, each in enumerate(model.layers):
        path = tensors.layer_path(layer, i)
        found |= tensors.in_layer(i, _attention(path, each.attention, model.width, biases))
        found |= tensors.in_layer(i, _feed_forward(path, each, model.width))
    return found


def _attention(path: str, attention: Attention, width: int, biases: bool) -> WeightSources:
    block = f"{path}/self_attention_layer"
    names = {part: f"{block}/{part}_dense" for part in ("query", "key", "value", "output")}
    found = tensors.attention_kernels(names, attention, width)
    if biases:
        found |= tensors.attention_biases(names, attention)
    if attention.query_key_norm is not None:
        for part in ("query", "key"):
            norm = f"{block}/{part}_dense_layer_norm"
            found[f"{part}_norm.scale"] = tensors.scale(norm, attention.head_dim)
    return found


def _feed_forward(path: str, layer: Layer, width: int) -> WeightSources:
    assert isinstance(layer.feed_forward, FeedForward)
    inner = layer.feed_forward.width
    gate, up, down = (f"{path}/feedforward_{part}_dense" for part in ("gate", "intermediate", "output"))
    found = {
        "inner.kernel": joined(*(tensors.kernel(each, width, inner) for each in (gate, up))),
        "outer.kernel": tensors.kernel(down, inner, width),
    }
    norms = {f"{name}.scale": tensors.scale(f"{path}/{stored}", width) for name, stored in NORMS.items()}
    return found | norms
