"""Two small GPT-2 checkpoints with their weights, which many tests serve.

The answers among the arrays: prompts, the logits at every position, and 64 greedily chosen ids.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from tests.export import golden_files
from tests.export.golden_files import GoldenModel

PROMPT_LENGTHS = (1, 7, 33, 130)
GREEDY = 64
GREEDY_PROMPT = 7
CONFIGS = {
    "small": {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 300, "n_positions": 160},
    "narrow": {
        "n_embd": 24,
        "n_layer": 3,
        "n_head": 2,
        "vocab_size": 270,
        "n_positions": 136,
        "n_inner": 40,
        "activation_function": "relu",
        "layer_norm_epsilon": 1e-3,
    },
}


def write_all(out: Path) -> None:
    for seed, (name, settings) in enumerate(CONFIGS.items()):
        write(build(settings, seed), out, name, seed)


def check_all(out: Path) -> None:
    for name in CONFIGS:
        golden = golden_files.read(out, name)
        check(load(golden), golden, name)


def build(settings: dict[str, object], seed: int) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(**settings, bos_token_id=0, eos_token_id=0))
    for parameter in model.parameters():
        # Far from the initial values, so that biases, norms and attention all show in the logits.
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval()


def load(golden: GoldenModel) -> GPT2LMHeadModel:
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "config.json").write_text(json.dumps(golden.config))
        save_file(golden.weights, f"{directory}/model.safetensors", {"format": "pt"})
        return GPT2LMHeadModel.from_pretrained(directory, dtype=torch.float32).eval()


def write(model: GPT2LMHeadModel, out: Path, name: str, seed: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        model.save_pretrained(directory)
        config = json.loads(Path(directory, "config.json").read_text())
        weights = load_file(f"{directory}/model.safetensors")
    tensors = {tensor: weights[tensor].shape for tensor in sorted(weights)}
    given = answers(model, prompts(model.config, seed))
    golden_files.write(out, name, GoldenModel({"seed": seed}, config, tensors, given, weights))


def prompts(config: GPT2Config, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"prompt_{n}": rng.integers(0, config.vocab_size, n).astype(np.int32) for n in PROMPT_LENGTHS}


def answers(model: GPT2LMHeadModel, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    result = dict(given)
    for name, ids in given.items():
        result[name.replace("prompt", "logits")] = logits(model, ids)
    result["greedy"] = greedy(model, given[f"prompt_{GREEDY_PROMPT}"])
    return result


@torch.no_grad()
def logits(model: GPT2LMHeadModel, ids: np.ndarray) -> np.ndarray:
    """(time, vocabulary)"""
    return model(torch.from_numpy(ids)[None].long()).logits[0].numpy()


def greedy(model: GPT2LMHeadModel, prompt: np.ndarray) -> np.ndarray:
    """The likeliest id, `GREEDY` times; an end-of-text id does not end it."""
    ids = prompt
    for _ in range(GREEDY):
        ids = np.append(ids, logits(model, ids)[-1].argmax()).astype(np.int32)
    return ids[len(prompt) :]


def check(model: GPT2LMHeadModel, golden: GoldenModel, name: str) -> None:
    """Ends the program where the library no longer answers what is committed."""
    given = {key: value for key, value in golden.answers.items() if key.startswith("prompt")}
    now = answers(model, given)
    for key, value in golden.answers.items():
        error = float(np.abs(now[key] - value).max())
        print(f"{name} {key}: {error:.1e}")
        if error > 1e-5:
            sys.exit(f"{name}: {key} differs by {error:.1e}")
