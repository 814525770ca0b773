"""Writes small random checkpoints and small tokenizers for tests."""

import json
import string
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from export.checkpoints.config_reader import ConfigReader
from export.hf.families import gpt2
from export.reference.lstm import LstmConfig
from tests.export import golden_files
from tests.export import seeded as seeds

GOLDEN = Path(__file__).parent / "golden"
MODELS = GOLDEN / "models"
END = "<|endoftext|>"
SPECIAL = ("<unk>", "<s>", "</s>")
DTYPES = {"float32": np.float32, "bfloat16": ml_dtypes.bfloat16}

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

LSTM_CONFIG = LstmConfig(vocab_size=260, embedding_size=12, hidden_size=20, n_layer=2, context_length=256)


def tokenizer(path: Path) -> None:
    """Writes a tokenizer of 256 bytes and one special token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    built = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    built.add_special_tokens([END])
    built.save(str(path))


def write(directory: Path, config: dict[str, Any], shapes: dict[str, tuple[int, ...]], seed: int = 0) -> Path:
    """Writes a checkpoint of `config` with random tensors of `shapes`."""
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(config))
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    save_file(weights, directory / "model.safetensors")
    tokenizer(directory / "tokenizer.json")
    return directory


def gpt2_shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the tensors of a GPT-2 checkpoint by name."""
    reader = ConfigReader(config, "config.json")
    sources = gpt2.sources(gpt2.describe(reader, gpt2.context(reader)), reader)
    return {name: shape for source in sources.values() for name, shape in source.needs.items()}


def golden(directory: Path, name: str) -> Path:
    """Writes the checkpoint of a golden model that has weights, with a tokenizer."""
    model = golden_files.read(GOLDEN, name)
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(model.config))
    save_file(model.weights, directory / "model.safetensors", {"format": "pt"})
    tokenizer(directory / "tokenizer.json")
    return directory


def cases(family: str | None = None) -> list[str]:
    """Returns the names of the golden cases, which `seeded` writes: all, or those of one family."""
    return [name for name in golden_files.names(MODELS) if family in (None, name.split("-")[0])]


def plainest() -> list[str]:
    """Returns one case of each family."""
    families = sorted({name.split("-")[0] for name in cases()})
    return [min(cases(family), key=lambda name: not name.endswith("-plain")) for family in families]


def seeded(directory: Path, case: str, dtype: str = "float32", shards: int = 1) -> Path:
    """Writes the checkpoint of a golden case, with a tokenizer of letters; several `shards` have an index."""
    model = golden_files.read(MODELS, case)
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps(model.config))
    weights = seeds.weights(model.config["model_type"], model.tensors, model.case["seed"])
    _save(directory, {name: value.astype(DTYPES[dtype]) for name, value in weights.items()}, shards)
    letters(directory / "tokenizer.json", model.config["vocab_size"])
    return directory


def letters(path: Path, size: int) -> None:
    """Writes a tokenizer of `size` ids: the special ones, and one for each of some letters."""
    alphabet = [*SPECIAL, *(" " + string.printable)[: size - len(SPECIAL)]]
    vocabulary = {token: i for i, token in enumerate(alphabet)}
    built = Tokenizer(models.BPE(vocabulary, [], unk_token=SPECIAL[0]))
    built.decoder = decoders.Fuse()
    built.add_special_tokens(list(SPECIAL))
    built.save(str(path))


def _save(directory: Path, weights: dict[str, Any], shards: int) -> None:
    if shards == 1:
        save_file(weights, directory / "model.safetensors")
        return
    place = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(weights)}
    for file in set(place.values()):
        save_file({name: weights[name] for name in weights if place[name] == file}, directory / file)
    index = {"metadata": {"total_size": sum(v.nbytes for v in weights.values())}, "weight_map": place}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def edit(directory: Path, file: str, **changes: Any) -> Path:
    """Applies `changes` to a JSON file, which need not exist; None is null."""
    path = directory / file
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | changes))
    return directory
