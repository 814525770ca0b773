"""Small random checkpoints and a small tokenizer, written where a test asks."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from export import lstm
from export.families import gpt2
from export.settings import Settings

GOLDEN = Path(__file__).parent / "golden"
END = "<|endoftext|>"

GPT2 = {
    "model_type": "gpt2",
    "vocab_size": 260,
    "n_positions": 64,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 3,
    "n_inner": None,
    "activation_function": "gelu_new",
    "eos_token_id": 256,
}
LSTM = {
    "model_type": "lstm",
    "vocab_size": 260,
    "embedding_size": 12,
    "hidden_size": 20,
    "n_layer": 2,
    "context_length": 256,
    "eos_token_id": 256,
}

LSTM_CONFIG = lstm.Config(vocab_size=260, embedding_size=12, hidden_size=20, n_layer=2, context_length=256)


def tokenizer(path: Path) -> None:
    """256 bytes and one special token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    built = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    built.add_special_tokens([END])
    built.save(str(path))


def write(directory: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]], seed: int = 0) -> Path:
    """A checkpoint of `config` with random tensors of `shapes`."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(weights, directory / "model.safetensors")
    tokenizer(directory / "tokenizer.json")
    return directory


def gpt2_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Of the tensors that a GPT-2 checkpoint has."""
    settings = Settings(config, "config.json")
    sources = gpt2.sources(gpt2.describe(settings, gpt2.context(settings)), settings)
    return {name: shape for source in sources.values() for name, shape in source.needs.items()}


def golden(directory: Path, name: str) -> Path:
    """A copy of a golden checkpoint, with a tokenizer."""
    shutil.copytree(GOLDEN / name, directory)
    tokenizer(directory / "tokenizer.json")
    return directory


def edit(directory: Path, file: str, **changes: Any) -> Path:
    """`changes` to a JSON file, which need not exist; None is null."""
    path = directory / file
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | changes))
    return directory
