"""SmolLM 3: Llama with rotary positions in some of its layers only."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError
from export.hf.families import llama
from export.hf.families.windows import windows
from export.transformer_model.description import Layer, Transformer
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "smollm3"
PREFIX = llama.PREFIX
NOT_WEIGHTS = llama.NOT_WEIGHTS


def context(config: ConfigReader) -> int:
    """Returns the context length that the checkpoint was made for, in tokens."""
    return config.size("max_position_embeddings", 32768)


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    config.unused("max_window_layers")
    attention, feed_forward = llama.attention(config, context, kv_heads=4), llama.feed_forward(config)
    rotary = _rotary_layers(config)
    each_window = windows(config, lambda layer: not rotary[layer], default=None)
    layers = (
        Layer(replace(attention, rope=attention.rope if turns else None, window=window), feed_forward)
        for turns, window in zip(rotary, each_window, strict=True)
    )
    return llama.transformer(config, context, tuple(layers), tied=True)


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return llama.all_sources(model, llama.biases(config))


def _rotary_layers(config: ConfigReader) -> tuple[bool, ...]:
    """Returns whether each layer has rotary positions.

    `no_rope_layers`, in spite of its name, has 1 for the layers that have them.
    """
    layers, interval = config.size("num_hidden_layers"), config.size("no_rope_layer_interval", 4)
    listed = config.integers("no_rope_layers")
    if listed is None:
        return tuple((i + 1) % interval != 0 for i in range(layers))
    if len(listed) < layers:
        raise SourceError(f"no_rope_layers has {len(listed)} entries for num_hidden_layers = {layers}")
    return tuple(each != 0 for each in listed[:layers])
