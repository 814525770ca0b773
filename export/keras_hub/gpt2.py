"""GPT-2: learned positions, layer norms, biases everywhere; the embedding is the head."""

from export.checkpoints.config_reader import ConfigReader
from export.keras_hub import tensors
from export.transformer_model.description import Attention, FeedForward, Layer, Norm, Transformer
from export.transformer_model.weight_source import WeightSources, tensor

NORMS = {"attention_norm": "self_attention_layer_norm", "feed_forward_norm": "feedforward_layer_norm"}


def context(config: ConfigReader) -> int:
    """Returns the number of learned positions."""
    return config.size("max_sequence_length", 1024)


def describe(config: ConfigReader, context: int, head: bool) -> Transformer:  # noqa: ARG001
    """Builds the description of the model for sequences of up to `context` tokens."""
    heads, head_dim = config.size("num_heads"), config.divided("hidden_dim", "num_heads")
    layer = Layer(
        Attention(heads, heads, head_dim, scale=head_dim**-0.5),
        FeedForward(config.size("intermediate_dim"), "gelu_tanh", gated=False),
    )
    return Transformer(
        vocabulary_size=config.size("vocabulary_size"),
        context_length=context,
        width=config.size("hidden_dim"),
        norm=Norm("layer", 1e-5),
        layers=(layer,) * config.size("num_layers"),
        tied=True,
        learned_positions=True,
    )


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    width = model.width
    positions = tensor("layers/position_embedding/vars/0", context(config), width)
    found = tensors.end_sources(model) | {
        "positions": positions.rows(0, model.context_length),
        "final_norm.scale": tensors.scale("layers/layer_normalization", width),
        "final_norm.offset": tensors.bias("layers/layer_normalization", width),
    }
    for i, layer in enumerate(model.layers):
        found |= tensors.in_layer(i, _layer(tensors.layer_path("transformer_decoder", i), layer, width))
    return found


def _layer(path: str, layer: Layer, width: int) -> WeightSources:
    """Returns the sources of one layer, by their names within the layer."""
    assert isinstance(layer.feed_forward, FeedForward)
    inner, attention = layer.feed_forward.width, f"{path}/self_attention_layer"
    names = {part: f"{attention}/{part}_dense" for part in ("query", "key", "value", "output")}
    inwards, outwards = (f"{path}/feedforward_{part}_dense" for part in ("intermediate", "output"))
    found = tensors.attention_kernels(names, layer.attention, width)
    found |= tensors.attention_biases(names, layer.attention)
    found |= {
        "attention_output.bias": tensors.bias(names["output"], width),
        "inner.kernel": tensors.kernel(inwards, width, inner),
        "inner.bias": tensors.bias(inwards, inner),
        "outer.kernel": tensors.kernel(outwards, inner, width),
        "outer.bias": tensors.bias(outwards, width),
    }
    for name, stored in NORMS.items():
        found[f"{name}.scale"] = tensors.scale(f"{path}/{stored}", width)
        found[f"{name}.offset"] = tensors.bias(f"{path}/{stored}", width)
    return found
