"""What the transformers library makes of a case: tensors' names, logits, greedy ids."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from tests.export import seeded
from tests.reference.case import Case

Ids = npt.NDArray[np.int32]
Array = npt.NDArray[np.float32]


def shapes(case: Case) -> dict[str, tuple[int, ...]]:
    """Of every tensor of a checkpoint, as the library would write it, but for the prefix."""
    with tempfile.TemporaryDirectory() as directory:
        _write_config(case, Path(directory))
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(directory))
        model.save_pretrained(directory)
        with safe_open(f"{directory}/model.safetensors", "np") as file:
            written = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    return {name.removeprefix(case.prefix): written[name] for name in sorted(written)}


def load(
    case: Case, tensors: Mapping[str, tuple[int, ...]], seed: int, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """The case with seeded weights, read from a checkpoint, so that the library agrees to every name."""
    with tempfile.TemporaryDirectory() as directory:
        _write_config(case, Path(directory))
        weights = seeded.weights(case.config["model_type"], tensors, seed)
        save_file(weights, f"{directory}/model.safetensors", {"format": "pt"})
        model, info = AutoModelForCausalLM.from_pretrained(
            directory, dtype=dtype, attn_implementation=case.attention, output_loading_info=True
        )
    assert not any(info.values()), f"the library does not know these tensors: {info}"
    return model.eval()


@torch.no_grad()
def logits(model: PreTrainedModel, ids: Ids) -> Array:
    """(time, vocabulary)"""
    return model(torch.from_numpy(ids)[None].long(), use_cache=False).logits[0].float().numpy()


@torch.no_grad()
def greedy(model: PreTrainedModel, prompt: Ids, count: int) -> Ids:
    """`count` ids, each the likeliest; an end-of-text id does not end it."""
    ids = torch.from_numpy(prompt)[None].long()
    # Else the library takes padding to be where the prompt has the padding's id.
    options = GenerationConfig(do_sample=False, max_new_tokens=count, eos_token_id=None, pad_token_id=0)
    model.generation_config = options
    given = model.generate(ids, attention_mask=torch.ones_like(ids), generation_config=options)
    return given[0, len(prompt) :].numpy().astype(np.int32)


@torch.no_grad()
def router_margin(model: PreTrainedModel, ids: Ids) -> float:
    """How far the last chosen expert is from the first that is not, where they are nearest."""
    margins = [np.inf]

    def note(module: torch.nn.Module, _: object, output: tuple[torch.Tensor, ...]) -> None:
        best = output[0].sort(dim=-1, descending=True).values
        margins.append(float((best[:, module.top_k - 1] - best[:, module.top_k]).min()))

    routers = [module for module in model.modules() if type(module).__name__.endswith("TopKRouter")]
    hooks = [module.register_forward_hook(note) for module in routers]
    logits(model, ids)
    for hook in hooks:
        hook.remove()
    return min(margins)


def _write_config(case: Case, directory: Path) -> None:
    (directory / "config.json").write_text(json.dumps(case.config))
