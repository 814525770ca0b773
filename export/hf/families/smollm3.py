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


def context(settings: ConfigReader) -> int:
    return settings.size("max_position_embeddings", 32768)


def describe(settings: ConfigReader, context: int) -> Transformer:
    settings.unused("max_window_layers")
    attention, feed_forward = llama.attention(settings, context, kv_heads=4), llama.feed_forward(settings)
    turns = _turns(settings)
    seen = windows(settings, lambda layer: not turns[layer], absent=None)
    layers = (
        Layer(replace(attention, rope=attention.rope if turn else None, window=window), feed_forward)
        for turn, window in zip(turns, seen, strict=True)
    )
    return llama.transformer(settings, context, tuple(layers), tied=True)


def sources(model: Transformer, settings: ConfigReader) -> WeightSources:
    return llama.all_sources(model, llama.biases(settings))


def _turns(settings: ConfigReader) -> tuple[bool, ...]:
    """Whether each layer turns; `no_rope_layers` has, against its name, 1 for those that do."""
    layers, interval = settings.size("num_hidden_layers"), settings.size("no_rope_layer_interval", 4)
    given = settings.integers("no_rope_layers")
    if given is None:
        return tuple((i + 1) % interval != 0 for i in range(layers))
    if len(given) < layers:
        raise SourceError(f"no_rope_layers has {len(given)} entries for num_hidden_layers = {layers}")
    return tuple(each != 0 for each in given[:layers])
