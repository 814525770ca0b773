"""The weights of a described model as TensorFlow variables, made one after the other.

Their names are `embedding`, `positions`, `head.kernel` (vocabulary, width), `head.bias`, `final_norm.scale`,
`input_projection.kernel` (embedding, width), `output_projection.kernel` (width, embedding), and for each
layer, after the prefix `layers.<i>.`

    qkv.kernel (width, queries | keys | values)      attention_output.kernel (heads * head_dim, width)
    inner.kernel (width, inner), gated: gate | up    outer.kernel (inner, width)
    router.kernel (width, experts); inner and outer then have the experts as their first axis
    query_norm, key_norm, and the norms that the layer names: .scale, and .offset if there is one

A product may have a `.bias`. Norms are float32; kernels, biases and embeddings have the dtype of the export.
`int8_weights` makes those of an export with int8 weights.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from contract.tensors import Array
from export.transformer_model.weight_source import ReadTensor, WeightSource, WeightSources

NORM_PARTS = (".scale", ".offset")
ALIGNMENT = 64
"""The alignment of a tensor's memory in TensorFlow, in bytes."""


def stored_dtype(name: str, dtype: str) -> str:
    """Returns the dtype of the weight `name` in an export to `dtype`: float32 for norms."""
    return "float32" if name.endswith(NORM_PARTS) else dtype


def variables(sources: WeightSources, read: ReadTensor, dtype: str) -> dict[str, tf.Variable]:
    """Reads every weight into a variable; returns the variables by the weights' names."""
    return {
        name: tf.Variable(adopted(source.read(read), stored_dtype(name, dtype)), name=name)
        for name, source in with_progress(sources)
    }


def with_progress(sources: WeightSources) -> Iterable[tuple[str, WeightSource]]:
    """Returns the sources by name, as an iterable that shows a progress bar on a terminal."""
    return tqdm(sources.items(), desc="reading weights", unit="weight", leave=False, disable=None)


def forget(variables: Iterable[tf.Variable]) -> None:
    """Frees the memory of the variables, even while they are referenced; they are empty afterwards."""
    for variable in variables:
        empty = tf.zeros([0], variable.dtype)
        tf.raw_ops.AssignVariableOp(resource=variable.handle, value=empty, validate_shape=False)


def adopted(value: Array, dtype: str) -> tf.Tensor:
    """Returns `value` as a tensor of `dtype`, over aligned memory that TensorFlow uses without a copy."""
    stored = np.dtype(tf.as_dtype(dtype).as_numpy_dtype)
    memory = np.empty(value.size * stored.itemsize + ALIGNMENT, np.uint8)
    begin = -memory.ctypes.data % ALIGNMENT
    aligned = memory[begin : begin + value.size * stored.itemsize]
    aligned.view(stored).reshape(value.shape)[...] = value
    # DLPack has no bfloat16 from numpy: the bytes go over, and are given their dtype there.
    as_bytes = aligned.reshape(value.shape if stored.itemsize == 1 else (*value.shape, stored.itemsize))
    return tf.bitcast(tf.experimental.dlpack.from_dlpack(as_bytes.__dlpack__()), dtype)


class WeightScope:
    """The weights with one prefix of their names, such as those of a layer."""

    def __init__(self, weights: Mapping[str, Any], prefix: str = "") -> None:
        self._weights = weights
        self._prefix = prefix

    def within(self, name: str) -> "WeightScope":
        """Returns the weights with the prefix of this scope, then `<name>.`."""
        return WeightScope(self._weights, f"{self._prefix}{name}.")

    def __getitem__(self, name: str) -> Any:
        return self._weights[self._prefix + name]

    def get(self, name: str) -> Any | None:
        """Returns the weight, or None where the model has none of that name."""
        return self._weights.get(self._prefix + name)
