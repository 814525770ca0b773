"""The resident layout of a described Transformer: its keys and values lie in the pool."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from export.signatures.pool import Layout
from export.signatures.pool_view import PoolView
from export.signatures.servable import ResidentModel
from export.transformer_model.description import Transformer
from export.transformer_model.forward import ForwardPass

SMALLEST_BLOCK = 128
MOST_BLOCKS = 16
"""Each block of a context is a part of the graph; longer contexts have larger blocks."""


def block_size(context: int) -> int:
    """Positions in a block: a power of two."""
    size = SMALLEST_BLOCK
    while size * MOST_BLOCKS < context:
        size *= 2
    return size


def resident(
    model: Transformer, weights: Mapping[str, Any], dtype: str, block: int | None = None
) -> ResidentModel:
    """`model` over `weights`; in blocks of `block` positions, where it is not for `block_size` to say."""
    size = block or block_size(model.context_length)
    blocks = -(-model.context_length // size)
    layout = Layout(len(model.layers), model.kv_heads, model.head_dim, dtype, size, blocks)

    def forward(tokens: tf.Tensor, starts: tf.Tensor, places: tf.Tensor, view: PoolView) -> tf.Tensor:
        return ForwardPass(model, weights).logits(tokens, starts, places, view)

    return ResidentModel(layout, forward)
