"""OLMo 1: Llama with layer norms that have neither scale nor offset."""

from dataclasses import replace

from export.checkpoints.config_reader import ConfigReader
from export.hf.families import llama
from export.transformer_model.description import Norm, Transformer
from export.transformer_model.weight_source import WeightSources

MODEL_TYPE = "olmo"
PREFIX = "model."
NOT_WEIGHTS = ()

context = llama.context


def describe(config: ConfigReader, context: int) -> Transformer:
    """Builds the description of the model for sequences of up to `context` tokens."""
    config.only("clip_qkv", None)
    return replace(llama.describe(config, context), norm=Norm("layer", 1e-5))


def sources(model: Transformer, config: ConfigReader) -> WeightSources:
    """Returns the source of each weight of `model`, by the name of the weight."""
    return {name: source for name, source in llama.sources(model, config).items() if "norm" not in name}
