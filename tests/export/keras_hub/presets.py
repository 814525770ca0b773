"""Writes small presets as KerasHub does, from the golden files; weights are computed from their paths.

Imports only numpy and h5py: the environment of KerasHub computes the same weights.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

import h5py
import numpy as np
import numpy.typing as npt

GOLDEN = Path(__file__).parent.parent / "golden/keras_hub"
TOKENIZERS = GOLDEN / "tokenizers"
PROMPT, CONTINUED = 40, 64
CONTEXT = 128
EVERY = 8
"""Of this many entries of the vocabulary, the logits of one are recorded."""

GAIN, EMBEDDING_SPREAD, VECTOR_SPREAD = 1.2, 0.25, 0.3


def prompt(vocabulary_size: int) -> npt.NDArray[np.int32]:
    return np.random.default_rng(PROMPT).integers(0, vocabulary_size, PROMPT).astype(np.int32)


def weight(path: str, shape: tuple[int, ...], ones: bool) -> npt.NDArray[np.float32]:
    """Returns the tensor at `path`; `ones`: norms' scales are about 1."""
    normal = np.random.default_rng(crc32(path.encode())).normal(size=shape)
    if len(shape) == 1:
        values = VECTOR_SPREAD * normal + (ones and "norm" in path and path.endswith("/0"))
    elif "embedding" in path:
        values = EMBEDDING_SPREAD * normal
    else:
        values = GAIN * normal / np.sqrt(sum(shape) / 2)
    return values.astype(np.float32)


def cases() -> dict[str, Any]:
    """Returns the cases by name: config.json, tensors' shapes, name of the tokenizer; for one, its shards."""
    found: dict[str, Any] = json.loads((GOLDEN / "cases.json").read_text())
    return found


def weights(case: Mapping[str, Any]) -> dict[str, npt.NDArray[np.float32]]:
    ones = not case["config"]["class_name"].startswith("Gemma")
    return {path: weight(path, tuple(shape), ones) for path, shape in case["tensors"].items()}


def write(directory: Path, name: str, sharded: bool = False) -> Path:
    """Writes the preset of a golden case."""
    case = cases()[name]
    shutil.copytree(TOKENIZERS / case["tokenizer"], directory)
    (directory / "config.json").write_text(json.dumps(case["config"]))
    preprocessor = {"class_name": "CausalLMPreprocessor", "config": {"sequence_length": CONTEXT}}
    (directory / "preprocessor.json").write_text(json.dumps(preprocessor))
    files = case["shards"]["files"] if sharded else {}
    for path, value in weights(case).items():
        with h5py.File(directory / files.get(path, "model.weights.h5"), "a") as file:
            file[path] = value
    if sharded:
        index = {"metadata": {}, "weight_map": case["shards"]["weight_map"]}
        (directory / "model.weights.json").write_text(json.dumps(index))
    return directory
