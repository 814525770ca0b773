"""Computes the weights of test checkpoints from seed, name and shape, so that they need not be committed.

Imports only numpy: the environment of the reference library computes the same weights.
"""

from collections.abc import Mapping
from zlib import crc32

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Shapes = Mapping[str, tuple[int, ...]]

GAIN = 1.3
"""The spread of products: attention is far from uniform, and its branch as large as the residual stream."""
EMBEDDING_SPREAD = 0.3
SCALED_EMBEDDING_SPREAD = 0.2
"""For families that scale their embeddings, which would otherwise dominate the layers."""
VECTOR_SPREAD = 0.3
"""The spread of norms' scales and of biases."""
HEAD_SPREAD = 0.5
EMBEDDINGS = ("embed", "wte", "wpe")
HEADS = ("lm_head", "embed_out")
GEMMAS = ("gemma", "gemma2", "gemma3_text")
"""The families whose norms scale by 1 + weight and whose embeddings are scaled."""


def weights(model_type: str, shapes: Shapes, seed: int) -> dict[str, Array]:
    """Returns the weights by name; every part of the model has an effect on the logits."""
    return {name: _tensor(model_type, name, shape, seed) for name, shape in shapes.items()}


def _tensor(model_type: str, name: str, shape: tuple[int, ...], seed: int) -> Array:
    normal = np.random.default_rng([seed, crc32(name.encode())]).normal(size=shape)
    if len(shape) == 1:
        is_scale = name.endswith("weight") and model_type not in GEMMAS
        values = VECTOR_SPREAD * normal + is_scale
    elif name.startswith(HEADS):
        values = normal * HEAD_SPREAD
    elif any(part in name for part in EMBEDDINGS):
        values = normal * (SCALED_EMBEDDING_SPREAD if model_type in GEMMAS else EMBEDDING_SPREAD)
    else:
        values = normal * GAIN / np.sqrt(sum(shape) / 2)
    return values.astype(np.float32)


def prompt(vocabulary_size: int, length: int, seed: int) -> npt.NDArray[np.int32]:
    return np.random.default_rng([seed, length]).integers(0, vocabulary_size, length).astype(np.int32)
