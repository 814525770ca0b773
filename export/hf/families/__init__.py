"""The families that are read from Hugging Face checkpoints: one file each, with the same names in each.

MODEL_TYPE    of its config.json
PREFIX        of its tensors' names, which may be missing
NOT_WEIGHTS   how the names of tensors end that carry no weights
context       how many positions the checkpoint was made for
describe      the model, from its settings
sources       where each of its weights comes from
"""

from types import ModuleType

from export.hf.families import (
    falcon,
    gemma,
    gemma2,
    gemma3,
    gpt2,
    gpt_neox,
    granite,
    llama,
    mistral,
    mixtral,
    olmo,
    olmo2,
    opt,
    phi,
    phi3,
    qwen2,
    qwen3,
    qwen3_moe,
    smollm3,
    stablelm,
    starcoder2,
)

FAMILIES: dict[str, ModuleType] = {
    module.MODEL_TYPE: module
    for module in (
        falcon,
        gemma,
        gemma2,
        gemma3,
        gpt2,
        gpt_neox,
        granite,
        llama,
        mistral,
        mixtral,
        olmo,
        olmo2,
        opt,
        phi,
        phi3,
        qwen2,
        qwen3,
        qwen3_moe,
        smollm3,
        stablelm,
        starcoder2,
    )
}
