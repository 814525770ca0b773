"""Two small GPT-2 checkpoints with their weights, which many tests serve.

Each is a checkpoint directory, plus `golden.npz`: prompts, the logits at every position, and 64 greedily
chosen ids.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

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
        write(build(settings, seed), out / name, seed)


def check_all(out: Path) -> None:
    for name in CONFIGS:
        check(load(out / name), out / name)


def build(settings: dict[str, object], seed: int) -> GPT2LMHeadModel:
    torch.manual_seed(seed)
    model = GPT2LMHeadModel(GPT2Config(**settings, bos_token_id=0, eos_token_id=0))
    for parameter in model.parameters():
        # Far from the initial values, so that biases, norms and attention all show in the logits.
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model.eval()


def load(directory: Path) -> GPT2LMHeadModel:
    return GPT2LMHeadModel.from_pretrained(directory, dtype=torch.float32).eval()


def write(model: GPT2LMHeadModel, directory: Path, seed: int) -> None:
    model.save_pretrained(directory)
    (directory / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    np.savez_compressed(directory / "golden.npz", **answers(model, prompts(model.config, seed)))


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


def check(model: GPT2LMHeadModel, directory: Path) -> None:
    """Ends the program where the library no longer answers what is committed."""
    golden = dict(np.load(directory / "golden.npz"))
    now = answers(model, {name: value for name, value in golden.items() if name.startswith("prompt")})
    for name, value in golden.items():
        error = float(np.abs(now[name] - value).max())
        print(f"{directory.name} {name}: {error:.1e}")
        if error > 1e-5:
            sys.exit(f"{directory}: {name} differs by {error:.1e}")
