"""The resident layout of a described Transformer: keys and values stay in the pool between calls."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from export.signatures.pool import PoolLayout
from export.signatures.pool_view import PoolView
from export.signatures.servable import ResidentModel
from export.transformer_model.description import Transformer
from export.transformer_model.forward import ForwardPass

SMALLEST_BLOCK = 128
MOST_BLOCKS = 16
"""Every block adds operations to the graph, so a longer context gets larger blocks."""


def block_size(context: int) -> int:
    """Returns the positions in a block for a context of `context` tokens: a power of two."""
    size = SMALLEST_BLOCK
    while size * MOST_BLOCKS < context:
        size *= 2
    return size


def resident(
    model: Transformer, weights: Mapping[str, Any], dtype: str, block: int | None = None
) -> ResidentModel:
    """Returns `model` over `weights`, with keys and values of `dtype`.

    Blocks have `block` positions; None: `block_size(context)`.
    """
    size = block or block_size(model.context_length)
    blocks = -(-model.context_length // size)
    layout = PoolLayout(len(model.layers), model.kv_heads, model.head_dim, dtype, size, blocks)

    def forward(tokens: tf.Tensor, positions: tf.Tensor, indices: tf.Tensor, view: PoolView) -> tf.Tensor:
        return ForwardPass(model, weights).logits(tokens, positions, indices, view)

    return ResidentModel(layout, forward)
