"""Writes the golden files of `tests/export/keras_hub`, from KerasHub.

Runs in an environment of its own (requirements-keras-hub.txt), from the top of the repository. With
`--check`, writes nothing, and compares what is there with what the library answers now.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from keras_hub import models, tokenizers

from tests.export.keras_hub import presets
from tests.reference import keras_hub_tokenizers

SIZES = {
    "vocabulary_size": 400,
    "num_layers": 2,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 32,
    "intermediate_dim": 48,
}
SLIDING = {"use_sliding_window_attention": True, "sliding_window_size": 7}
NORMS = {"use_post_ffw_norm": True, "use_post_attention_norm": True}
LLAMA3 = {
    "rope_max_wavelength": 500_000,
    "rope_frequency_adjustment_factor": 8.0,
    "rope_low_freq_factor": 1.0,
    "rope_high_freq_factor": 4.0,
    "rope_pretraining_sequence_length": 32,
}
GPT2 = {"num_heads": 4, "max_sequence_length": presets.CONTEXT}
NO_GROUPS = ("num_query_heads", "num_key_value_heads")

CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": ("GPT2", "gpt2", GPT2 | {key: value for key, value in SIZES.items() if key not in NO_GROUPS}),
    "llama": ("Llama", "llama", SIZES | {"rope_max_wavelength": 5000, "layer_norm_epsilon": 1e-3}),
    "llama_tied": ("Llama", "llama", SIZES | {"tie_word_embeddings": True}),
    "llama3": ("Llama3", "llama3", SIZES | LLAMA3),
    "mistral": (
        "Mistral",
        "llama",
        SIZES | {"head_dim": 12, "sliding_window": 7, "rope_scaling_factor": 2.0},
    ),
    "gemma": ("Gemma", "gemma", SIZES | {"head_dim": 12, "num_key_value_heads": 1}),
    "gemma2": (
        "Gemma",
        "gemma",
        SIZES
        | SLIDING
        | NORMS
        | {"head_dim": 12, "attention_logit_soft_cap": 2.0, "final_logit_soft_cap": 9.0},
    ),
    "gemma3": (
        "Gemma3",
        "gemma",
        SIZES
        | SLIDING
        | NORMS
        | {"num_layers": 7, "head_dim": 12, "global_rope_scaling_factor": 8.0, "image_size": 8},
    ),
    "qwen": ("Qwen", "gpt2", SIZES | SLIDING | {"rope_scaling_factor": 2.0}),
    "qwen3": (
        "Qwen3",
        "gpt2",
        SIZES | {"head_dim": 12, "sliding_window_size": 7, "tie_word_embeddings": False},
    ),
}
"""By name: what its classes' names begin with, its tokenizer, the backbone's arguments."""
SHARDED = "llama"
SHARD_SIZE = 60_000 / 1024**3
TOLERANCE = 2e-5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        made = {name: answered(name, Path(directory) / name) for name in CASES}
    said = {name: case for name, (case, _, _) in made.items()}
    arrays = {f"{name}/logits": logits for name, (_, logits, _) in made.items()}
    arrays |= {f"{name}/continued": continued for name, (_, _, continued) in made.items()}
    if args.check:
        compare(said, arrays)
        keras_hub_tokenizers.check(tokenizers, presets.TOKENIZERS)
    else:
        (presets.GOLDEN / "cases.json").write_text(json.dumps(said, indent=1) + "\n")
        np.savez_compressed(presets.GOLDEN / "golden.npz", **arrays)
        keras_hub_tokenizers.write(tokenizers, presets.TOKENIZERS)
    return 0


def answered(name: str, directory: Path) -> tuple[dict[str, Any], Any, Any]:
    """What the case's preset consists of, the logits at each position of the prompt, and how it goes on."""
    kind, tokenizer, arguments = CASES[name]
    backbone = getattr(models, f"{kind}Backbone")(**arguments)
    model = getattr(models, f"{kind}CausalLM")(backbone=backbone, preprocessor=None)
    model.save_to_preset(str(directory))
    file = directory / "model.weights.h5"
    config = json.loads((directory / "config.json").read_text())
    case = {"config": config, "tokenizer": tokenizer, "tensors": shapes(file)}
    with h5py.File(file, "a") as opened:
        for path, value in presets.weights(case).items():
            opened[path][...] = value
    # By the library's own way, so that the paths are known to mean what they say.
    backbone.load_weights(str(file))
    if name == SHARDED:
        case["shards"] = sharded(backbone, directory)
    ids = presets.prompt(arguments["vocabulary_size"])
    logits = np.array(model({"token_ids": ids[None], "padding_mask": np.ones_like(ids)[None]}))[0]
    print(name, flush=True)
    return case, logits[:, :: presets.EVERY], continued(model, ids)


def shapes(file: Path) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}

    def note(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[path] = item.shape

    with h5py.File(file) as opened:
        opened.visititems(note)
    return found


def sharded(backbone: Any, directory: Path) -> dict[str, Any]:
    """The index that the library writes of several files, and which tensor lies in which."""
    backbone.save_weights(str(directory / "model.weights.json"), max_shard_size=SHARD_SIZE)
    index = json.loads((directory / "model.weights.json").read_text())
    files = {path: file.name for file in sorted(directory.glob("model_*.h5")) for path in shapes(file)}
    return {"weight_map": index["weight_map"], "files": files}


def continued(model: Any, ids: Any) -> Any:
    """The likeliest token each time, over the whole text anew: not every class generates without words."""
    length = presets.PROMPT + presets.CONTINUED
    run = tf.function(lambda tokens, mask: model({"token_ids": tokens, "padding_mask": mask}))
    text = np.zeros((1, length), np.int32)
    text[0, : presets.PROMPT] = ids
    for i in range(presets.PROMPT, length):
        mask = (np.arange(length) < i).astype(np.int32)[None]
        text[0, i] = np.argmax(run(tf.constant(text), tf.constant(mask))[0, i - 1])
    return text[0, presets.PROMPT :]


def compare(said: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Ends with an error where something differs."""
    assert json.loads(json.dumps(said)) == presets.cases(), "cases.json differs"
    with np.load(presets.GOLDEN / "golden.npz") as golden:
        for name, array in arrays.items():
            print(name, np.abs(golden[name] - array).max())
            np.testing.assert_allclose(golden[name], array, atol=TOLERANCE)


if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    sys.exit(main())
