"""The weights of a described model with int8 matrices: those of products, the embedding and the head.

A router's matrix, learned positions and norms are as in `weights`; biases are float32, as products are.
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import tensorflow as tf

from contract.tensors import Array
from export.transformer_model.quantization import OUTPUTS_FIRST, QuantizedValues, is_quantized, quantize
from export.transformer_model.quantized import QuantizedExperts, QuantizedMatrix
from export.transformer_model.weight_source import ReadTensor, WeightSources
from export.transformer_model.weights import adopted, stored_dtype, with_progress

Weight: TypeAlias = tf.Variable | QuantizedMatrix | QuantizedExperts

BIAS = ".bias"
QKV = ".qkv.kernel"
"""Its products have the dtype of the export, in which keys and values are kept; all others are float32."""


def int8_variables(sources: WeightSources, read: ReadTensor, dtype: str) -> dict[str, Weight]:
    """Reads every weight into variables; returns the weights by their names.

    Leaves out biases of zeros: only float products need them.
    """
    return {
        name: _weight(name, source.read(read), dtype)
        for name, source in with_progress(sources)
        if source.needs or not name.endswith(BIAS)
    }


def owned(weights: Iterable[Weight]) -> Iterator[tf.Variable]:
    """Yields all variables of the weights."""
    for weight in weights:
        yield from (weight,) if isinstance(weight, tf.Variable) else weight.variables


def _weight(name: str, value: Array, dtype: str) -> Weight:
    if not is_quantized(name):
        stored = "float32" if name.endswith(BIAS) else stored_dtype(name, dtype)
        return tf.Variable(adopted(value, stored), name=name)
    integers, ranges = quantize(name, value)
    if integers.ndim == 2:
        return _matrix(name, QuantizedValues(integers, ranges), dtype)
    experts = map(QuantizedValues, integers, ranges)
    return QuantizedExperts(tuple(_matrix(name, each, dtype) for each in experts))


def _matrix(name: str, values: QuantizedValues, dtype: str) -> QuantizedMatrix:
    return QuantizedMatrix(
        tf.Variable(adopted(values.integers, "int8"), name=name),
        tf.Variable(adopted(values.ranges, "float32"), name=f"{name}.ranges"),
        name in OUTPUTS_FIRST,
        tf.as_dtype(dtype if name.endswith(QKV) else "float32"),
    )
