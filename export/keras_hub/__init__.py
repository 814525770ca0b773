"""Reads presets of KerasHub's causal language models: one module per backbone, with the same names.

context       returns how many positions the preset has; None: they are unlimited
describe      builds the description of the model from its configuration; `head`: the weights include a head
sources       returns the source of each weight: the tensors that it is made from
"""

from types import ModuleType

from export.keras_hub import gemma, gemma3, gpt2, llama, mistral, qwen, qwen3

BACKBONES: dict[str, ModuleType] = {
    "GPT2Backbone": gpt2,
    "Gemma3Backbone": gemma3,
    "GemmaBackbone": gemma,
    "Llama3Backbone": llama,
    "LlamaBackbone": llama,
    "MistralBackbone": mistral,
    "Qwen3Backbone": qwen3,
    "QwenBackbone": qwen,
}
"""The modules by the class names of the backbones."""
