"""Llama 2 and 3: RMS norms, rotary positions, grouped heads, gated feed-forward.

Mistral and Qwen are this with other settings and under other names: they use `transformer` and `decoder`.
"""

from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError
from export.keras_hub import tensors
from export.transformer_model import rope
from export.transformer_model.description import Attention, FeedForward, Layer, Norm, Transformer
from export.transformer_model.rope import Rope
from export.transformer_model.weight_source import WeightSources, joined

NORMS = {"attention_norm": "self_attention_layernorm", "feed_forward_norm": "feedforward_layernorm"}

# The names that `transformer_model.rope` reads.
FREQUENCIES = {
    "factor": "rope_frequency_adjustment_factor",
    "low_freq_factor": "rope_low_freq_factor",
    "high_freq_factor": "rope_high_freq_factor",
    "original_max_position_embeddings": "rope_pretraining_sequence_length",
}


def context(config: ConfigReader) -> None:  # noqa: ARG001
    return None


def describe(config: ConfigReader, context: int, head: bool) -> Transformer:
    heads, head_dim = config.size("num_query_heads"), config.divided("hidden_dim", "num_query_heads")
    # Its layers do not look at it.
    config.only("rope_position_scaling_factor", 1.0)
    attention = Attention(
        heads,
        config.size("num_key_value_heads"),
        head_dim,
        scale=head_dim**-0.5,
        rope=_rope(config, head_dim, context),
    )
    # KerasHub does not save the setting.
    return transformer(config, context, attention, tied=config.flag("tie_word_embeddings", not head))


def _rope(config: ConfigReader, head_dim: int, context: int) -> Rope:
    """Slowed as for Llama 3.1 where the settings say how; they come together."""
    given = {name: config.optional_number(own) for name, own in FREQUENCIES.items()}
    theta = config.number("rope_max_wavelength", 10_000)
    if all(value is None for value in given.values()):
        return tensors.rope(theta, 1.0, head_dim, context)
    if missing := [FREQUENCIES[name] for name, value in given.items() if value is None]:
        raise SourceError(f"{missing[0]} is missing, which the other settings of frequencies ask for")
    scaling = {"rope_type": "llama3"} | given
    return rope.read({"rope_theta": theta, "rope_scaling": scaling}, head_dim, context)


def transformer(config: ConfigReader, context: int, attention: Attention, tied: bool) -> Transformer:
    """With one attention for all layers."""
    feed_forward = FeedForward(config.size("intermediate_dim"), "silu", gated=True)
    return Transformer(
        vocabulary_size=config.size("vocabulary_size"),
        context_length=context,
        width=config.size("hidden_dim"),
        norm=Norm("rms", config.number("layer_norm_epsilon", 1e-6)),
        layers=(Layer(attention, feed_forward),) * config.size("num_layers"),
        tied=tied,
    )


def sources(model: Transformer, config: ConfigReader) -> WeightSources:  # noqa: ARG001
    return decoder(model, "llama_transformer_decoder", "llama_layer_norm")


def decoder(model: Transformer, layer: str, norm: str, biases: bool = False) -> WeightSources:
    """By the names of the classes of layers and norms; `biases` of queries, keys and values."""
    found = tensors.ends(model) | {"final_norm.scale": tensors.scale(f"layers/{norm}", model.width)}
    for i, each in enumerate(model.layers):
        path = tensors.numbered(layer, i)
        found |= tensors.within(i, _attention(path, each.attention, model.width, biases))
        found |= tensors.within(i, _feed_forward(path, each, model.width))
    return found


def _attention(path: str, attention: Attention, width: int, biases: bool) -> WeightSources:
    own = f"{path}/self_attention_layer"
    names = {part: f"{own}/{part}_dense" for part in ("query", "key", "value", "output")}
    found = tensors.attention_kernels(names, attention, width)
    if biases:
        found |= tensors.attention_biases(names, attention)
    if attention.query_key_norm is not None:
        for part in ("query", "key"):
            path = f"{own}/{part}_dense_layer_norm"
            found[f"{part}_norm.scale"] = tensors.scale(path, attention.head_dim)
    return found


def _feed_forward(path: str, layer: Layer, width: int) -> WeightSources:
    assert isinstance(layer.feed_forward, FeedForward)
    inner = layer.feed_forward.width
    gate, up, down = (f"{path}/feedforward_{part}_dense" for part in ("gate", "intermediate", "output"))
    found = {
        "inner.kernel": joined(*(tensors.kernel(each, width, inner) for each in (gate, up))),
        "outer.kernel": tensors.kernel(down, inner, width),
    }
    norms = {f"{name}.scale": tensors.scale(f"{path}/{own}", width) for name, own in NORMS.items()}
    return found | norms
