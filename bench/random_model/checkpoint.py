"""A checkpoint of GPT-2's smallest shape with random weights, in Hugging Face's layout.

Layers add far more to the residual stream than the token itself, which would otherwise be repeated for ever.
The embedding of the token that ends a text is zero, so that it is never the likeliest: not every engine
supports `ignore_eos`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from bench.random_model import vocabulary

LAYERS, WIDTH, HEADS, CONTEXT = 12, 768, 12, 1024
SEED = 20

CONFIG = {
    "architectures": ["GPT2LMHeadModel"],
    "model_type": "gpt2",
    "vocab_size": vocabulary.SIZE,
    "n_positions": CONTEXT,
    "n_ctx": CONTEXT,
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_inner": None,
    "activation_function": "gelu_new",
    "layer_norm_epsilon": 1e-5,
    "initializer_range": 0.02,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "bos_token_id": vocabulary.END_ID,
    "eos_token_id": vocabulary.END_ID,
}

ATTENTION_OUTPUT = "attn.c_proj"
_SCALES = {"attn.c_attn": 0.05, "mlp.c_fc": 0.08, "mlp.c_proj": 0.05}
"""Of a layer's matrices, but for what attention adds."""

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WeightScales:
    """Scales of the random weights, which decide what greedy text is like."""

    positions: float
    """Scale of the position embedding."""
    attention: float
    """Scale of what attention adds."""
    favoured: int
    """Words with a long embedding, which is why they are chosen; 0: none."""


VARIED = WeightScales(positions=0.05, attention=0.02, favoured=0)
"""Words hardly ever repeat."""
LOOPING = WeightScales(positions=0.0, attention=0.0, favoured=64)
"""The next word depends on the last one only, and few are chosen: text soon repeats a phrase for ever."""


def write(directory: Path, scales: WeightScales) -> None:
    """Writes a checkpoint into `directory`."""
    write_files(directory, CONFIG, _weights(scales))


def write_files(directory: Path, config: Mapping[str, object], weights: Iterable[tuple[str, Array]]) -> None:
    """Writes the files of a checkpoint with the random models' vocabulary into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    vocabulary.write(directory, CONTEXT)
    save_file(dict(weights), directory / "model.safetensors", metadata={"format": "pt"})


def _weights(scales: WeightScales) -> Iterator[tuple[str, Array]]:
    rng = np.random.default_rng(SEED)
    yield "transformer.wte.weight", _tokens(rng, scales.favoured)
    yield "transformer.wpe.weight", _random(rng, scales.positions, CONTEXT, WIDTH)
    for layer in range(LAYERS):
        prefix = f"transformer.h.{layer}"
        for name, (rows, columns) in matrices(WIDTH).items():
            scale = scales.attention if name == ATTENTION_OUTPUT else _SCALES[name]
            matrix = _random(rng, scale, rows, columns)
            # Activations have a mean above 0, which would pull every token towards the same few.
            yield f"{prefix}.{name}.weight", matrix - matrix.mean(axis=0)
            yield f"{prefix}.{name}.bias", np.zeros(columns, np.float32)
        for name in ("ln_1", "ln_2"):
            yield from norm(f"{prefix}.{name}", WIDTH)
    yield from norm("transformer.ln_f", WIDTH)


def _tokens(rng: np.random.Generator, favoured: int) -> Array:
    """Returns embeddings of words; other tokens have zeros, hence logit 0, which is never the highest."""
    table = _random(rng, 0.02, vocabulary.SIZE, WIDTH)
    table[: vocabulary.FIRST_WORD] = 0
    table[vocabulary.END_ID] = 0
    table[vocabulary.FIRST_WORD : vocabulary.FIRST_WORD + favoured] *= 4
    return table


def matrices(width: int) -> dict[str, tuple[int, int]]:
    """Returns the rows and columns of a layer's matrices, by name."""
    return {
        "attn.c_attn": (width, 3 * width),
        ATTENTION_OUTPUT: (width, width),
        "mlp.c_fc": (width, 4 * width),
        "mlp.c_proj": (4 * width, width),
    }


def _random(rng: np.random.Generator, scale: float, *shape: int) -> Array:
    return rng.standard_normal(shape, np.float32) * np.float32(scale)


def norm(name: str, width: int) -> Iterator[tuple[str, Array]]:
    """Yields the weights of a norm that changes nothing."""
    yield f"{name}.weight", np.ones(width, np.float32)
    yield f"{name}.bias", np.zeros(width, np.float32)
