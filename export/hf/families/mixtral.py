"""Mixtral: Mistral with a mixture of experts, and without a window by default."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError
from export.hf.families import llama, mistral
from export.transformer_model.description import Experts, Layer, Transformer
from export.transformer_model.weight_source import WeightSources, joined, linear, stacked

MODEL_TYPE = "mixtral"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS
context = mistral.context

GATE_UP_DOWN = ("w1", "w3", "w2")


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    config.only("attention_bias", False)
    window = config.optional_size("sliding_window")
    attention = replace(llama.attention(config, context, kv_heads=8), window=window)
    width = config.size("intermediate_size")
    layer = Layer(attention, experts(config, 8, 2, width, renormalized=True))
    layers = (layer,) * config.size("num_hidden_layers")
    return llama.transformer(config, context, layers, epsilon=1e-5)


def sources(model: Transformer, _: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    found = llama.all_sources(model)
    for i in range(len(model.layers)):
        found |= expert_sources(i, model, "block_sparse_moe", GATE_UP_DOWN)
    return found


def experts(config: ConfigReader, count: int, chosen: int, width: int, renormalized: bool) -> Experts:
    """Builds a mixture of `count` experts, `chosen` of them per token; both are defaults of their keys."""
    # The transformers library reads either name, and writes the second.
    older, newer = "num_experts", "num_local_experts"
    count = config.size(newer, config.size(older, count))
    chosen = config.size("num_experts_per_tok", chosen)
    if chosen > count:
        raise SourceError(f"num_experts_per_tok = {chosen} is more than the {count} experts")
    return Experts(count, chosen, width, config.activation("hidden_act", "silu"), renormalized)


def expert_sources(index: int, model: Transformer, block: str, parts: tuple[str, str, str]) -> WeightSources:
    """Returns the sources of a layer's router and experts.

    `block` is the checkpoint's name of the mixture in a layer, `parts` its names of gate, up and down.
    """
    mixture = model.layers[index].feed_forward
    assert isinstance(mixture, Experts)
    name, width, inner = f"layers.{index}", model.width, mixture.width
    stored = f"{name}.{block}"
    gate, up, down = (
        [f"{stored}.experts.{expert}.{part}.weight" for expert in range(mixture.count)] for part in parts
    )
    return {
        f"{name}.router.kernel": linear(f"{stored}.gate.weight", width, mixture.count),
        f"{name}.inner.kernel": stacked(
            *(
                joined(linear(one, width, inner), linear(other, width, inner))
                for one, other in zip(gate, up, strict=True)
            )
        ),
        f"{name}.outer.kernel": stacked(*(linear(each, inner, width) for each in down)),
    }
