"""OLMo 1: as Llama, but layer norms have neither scale nor offset."""

from dataclasses import replace

from export.description import Norm, Transformer
from export.families import llama
from export.settings import Settings
from export.source import Sources

MODEL_TYPE = "olmo"
PREFIX = "model."
NOT_WEIGHTS = ()

context = llama.context


def describe(settings: Settings, context: int) -> Transformer:
    settings.only("clip_qkv", None)
    return replace(llama.describe(settings, context), norm=Norm("layer", 1e-5))


def sources(model: Transformer, settings: Settings) -> Sources:
    return {name: source for name, source in llama.sources(model, settings).items() if "norm" not in name}
