"""The backbones of KerasHub's causal language models: one file each, with the same names in each.

context       how many positions the preset was made for; None: its positions have no end
describe      the model, from the backbone's settings; `head`: whether the weights hold a head of their own
sources       where each of its weights comes from
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
"""By their classes' names."""
