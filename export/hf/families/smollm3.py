"""SmolLM 3: Llama, of whose layers some do not turn by position."""

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
    return config.size("max_position_embeddings", 32768)


def describe(config: ConfigReader, context: int) -> Transformer:
    config.unused("max_window_layers")
    attention, feed_forward = llama.attention(config, context, kv_heads=4), llama.feed_forward(config)
    turns = _turns(config)
    seen = windows(config, lambda layer: not turns[layer], default=None)
    layers = (
        Layer(replace(attention, rope=attention.rope if turn else None, window=window), feed_forward)
        for turn, window in zip(turns, seen, strict=True)
    )
    return llama.transformer(config, context, tuple(layers), tied=True)


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    return llama.all_sources(model, llama.biases(config))


def _turns(config: ConfigReader) -> tuple[bool, ...]:
    """Whether each layer turns; `no_rope_layers` has, against its name, 1 for those that do."""
    layers, interval = config.size("num_hidden_layers"), config.size("no_rope_layer_interval", 4)
    given = config.integers("no_rope_layers")
    if given is None:
        return tuple((i + 1) % interval != 0 for i in range(layers))
    if len(given) < layers:
        raise SourceError(f"no_rope_layers has {len(given)} entries for num_hidden_layers = {layers}")
    return tuple(each != 0 for each in given[:layers])
