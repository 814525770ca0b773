"""The model families that are read from Hugging Face checkpoints: one module each, with the same names.

MODEL_TYPE    the `model_type` in config.json
PREFIX        the prefix of tensor names, which a checkpoint may leave out
NOT_WEIGHTS   suffixes of tensor names that hold no weights of the model
context       returns the context length that the checkpoint was made for, in tokens
describe      builds the description of the model from its configuration
sources       returns the source of each weight: the tensors that it is made from
"""

from importlib import import_module
from types import ModuleType

MODULES = (
    "falcon",
    "gemma",
    "gemma2",
    "gemma3",
    "gpt2",
    "gpt_neox",
    "granite",
    "llama",
    "mistral",
    "mixtral",
    "olmo",
    "olmo2",
    "opt",
    "phi",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3_moe",
    "smollm3",
    "stablelm",
    "starcoder2",
)


def _families() -> dict[str, ModuleType]:
    modules = [import_module(f"{__name__}.{name}") for name in MODULES]
    return {module.MODEL_TYPE: module for module in modules}


FAMILIES = _families()
"""The modules by their `MODEL_TYPE`."""
