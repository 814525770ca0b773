"""A described model's weights as variables, each made from its source when its turn comes.

Their names: `embedding`, `positions`, `head.kernel` (vocabulary, width), `head.bias`, `final_norm.scale`,
`input_projection.kernel` (embedding, width), `output_projection.kernel` (width, embedding), and for each
layer `layers.<i>.`

    qkv.kernel (width, queries | keys | values)      attention_output.kernel (heads * head_dim, width)
    inner.kernel (width, inner), gated: gate | up    outer.kernel (inner, width)
    router.kernel (width, experts), and then inner and outer with the experts as first axis
    query_norm, key_norm, and the norms that the layer names: .scale and, if there is one, .offset

Products may have a `.bias`. Norms are float32; what enters products, and is added to them, has the dtype
that was asked for.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from export.transformer_model.weight_source import Array, ReadTensor, WeightSources

NORM_PARTS = (".scale", ".offset")
ALIGNMENT = 64
"""Bytes."""


def stored_dtype(name: str, dtype: str) -> str:
    return "float32" if name.endswith(NORM_PARTS) else dtype


def variables(sources: WeightSources, read: ReadTensor, dtype: str) -> dict[str, tf.Variable]:
    """By name."""
    progress = tqdm(sources.items(), desc="reading weights", unit="weight", leave=False, disable=None)
    return {
        name: tf.Variable(_adopted(source.read(read), stored_dtype(name, dtype)), name=name)
        for name, source in progress
    }


def forget(variables: Iterable[tf.Variable]) -> None:
    """Gives their memory back, whoever else refers to them; they have no value then."""
    for variable in variables:
        nothing = tf.zeros([0], variable.dtype)
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=nothing, validate_shape=False)


def _adopted(value: Array, dtype: str) -> tf.Tensor:
    """A tensor in memory that is made here, and not copied again on its way through TensorFlow."""
    wanted = np.dtype(tf.as_dtype(dtype).as_numpy_dtype)
    room = np.empty(value.size * wanted.itemsize + ALIGNMENT, np.uint8)
    begin = -room.ctypes.data % ALIGNMENT
    aligned = room[begin : begin + value.size * wanted.itemsize]
    aligned.view(wanted).reshape(value.shape)[...] = value
    pieces = aligned.reshape(*value.shape, wanted.itemsize)
    return tf.bitcast(tf.experimental.dlpack.from_dlpack(pieces.__dlpack__()), dtype)


class Scope:
    """Weights whose names begin with one prefix."""

    def __init__(self, weights: Mapping[str, Any], prefix: str = "") -> None:
        self._weights = weights
        self._prefix = prefix

    def within(self, name: str) -> "Scope":
        return Scope(self._weights, f"{self._prefix}{name}.")

    def __getitem__(self, name: str) -> Any:
        return self._weights[self._prefix + name]

    def get(self, name: str) -> Any | None:
        """None where the model has no such weight."""
        return self._weights.get(self._prefix + name)
