"""A Llama checkpoint with random weights in bfloat16, in Hugging Face's layout: five shards and their index.

At most one shard is in memory at a time.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from math import prod
from pathlib import Path

import ml_dtypes
import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from bench.random_model import vocabulary

SHARDS = 5
WIDTH, INNER, HEAD_DIM, HEADS, KV_HEADS = 1536, 4096, 128, 12, 4
CONTEXT = 8192
SEED = 21
ITEM = 2
"""Bytes of a parameter."""


@dataclass(frozen=True)
class LlamaShape:
    """Layers of 25 million parameters each; vocabulary and head have 154 million."""

    layers: int

    @property
    def config(self) -> dict[str, object]:
        """The config.json."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": vocabulary.SIZE,
            "hidden_size": WIDTH,
            "intermediate_size": INNER,
            "num_hidden_layers": self.layers,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "head_dim": HEAD_DIM,
            "hidden_act": "silu",
            "rms_norm_eps": 1e-5,
            "rope_theta": 500000.0,
            "max_position_embeddings": CONTEXT,
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "bos_token_id": vocabulary.END_ID,
            "eos_token_id": vocabulary.END_ID,
        }

    @property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name; vectors are norms."""
        named: dict[str, tuple[int, ...]] = {_EMBEDDING: (vocabulary.SIZE, WIDTH)}
        for i in range(self.layers):
            named |= {f"model.layers.{i}.{name}.weight": shape for name, shape in _LAYER.items()}
        return named | {"model.norm.weight": (WIDTH,), "lm_head.weight": (vocabulary.SIZE, WIDTH)}

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return sum(prod(shape) for shape in self.tensors.values())

    @property
    def largest(self) -> int:
        """Bytes of the largest tensor."""
        return max(prod(shape) for shape in self.tensors.values()) * ITEM


_EMBEDDING = "model.embed_tokens.weight"
_LAYER: dict[str, tuple[int, ...]] = {
    "input_layernorm": (WIDTH,),
    "self_attn.q_proj": (HEADS * HEAD_DIM, WIDTH),
    "self_attn.k_proj": (KV_HEADS * HEAD_DIM, WIDTH),
    "self_attn.v_proj": (KV_HEADS * HEAD_DIM, WIDTH),
    "self_attn.o_proj": (WIDTH, HEADS * HEAD_DIM),
    "post_attention_layernorm": (WIDTH,),
    "mlp.gate_proj": (INNER, WIDTH),
    "mlp.up_proj": (INNER, WIDTH),
    "mlp.down_proj": (WIDTH, INNER),
}

GIGABYTE = LlamaShape(layers=14)
"""506 million parameters: 1.01 GB in bfloat16, 2.03 GB in float32."""


def write(directory: Path, shape: LlamaShape) -> None:
    """Writes a checkpoint into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(shape.config, indent=1) + "\n")
    vocabulary.write(directory, CONTEXT)
    rng = np.random.default_rng(SEED)
    places: dict[str, str] = {}
    for number, names in enumerate(_shards(shape), 1):
        file = f"model-{number:05}-of-{SHARDS:05}.safetensors"
        weights = {name: _weight(rng, name, shape.tensors[name]) for name in names}
        save_file(weights, directory / file, metadata={"format": "pt"})
        places |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": ITEM * shape.parameters}, "weight_map": places}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def key(shape: LlamaShape) -> str:
    """Returns a key that changes with what `write` writes."""
    files = (Path(__file__), Path(vocabulary.__file__))
    return " ".join([str(shape.layers), *(sha256(file.read_bytes()).hexdigest()[:16] for file in files)])


def _shards(shape: LlamaShape) -> Iterator[list[str]]:
    """Yields the tensors' names in parts of about equal size."""
    part: list[str] = []
    done = 0
    left = SHARDS
    for name, each in shape.tensors.items():
        part.append(name)
        done += prod(each)
        if done * SHARDS >= shape.parameters * (SHARDS - left + 1):
            yield part
            part, left = [], left - 1


def _weight(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> npt.NDArray[ml_dtypes.bfloat16]:
    """Returns a norm of ones, an embedding of unit size, or a matrix that keeps the size of its input.

    With smaller embeddings attention would add far more than the token itself, and text would repeat itself.
    """
    if len(shape) == 1:
        return np.ones(shape, ml_dtypes.bfloat16)
    scale = np.float32(1 if name == _EMBEDDING else shape[1] ** -0.5)
    rows = (rng.standard_normal(shape[1], np.float32) * scale for _ in range(shape[0]))
    return np.stack([row.astype(ml_dtypes.bfloat16) for row in rows])
