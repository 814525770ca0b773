"""Matrices of int8 weights in TensorFlow, and their products with float rows.

A row is scaled by its own largest magnitude and rounded to integers. The product of integers is exact, so a
row gives the same bits in any batch. Both scales and the bias are applied afterwards, in float32.

The product is TensorFlow's operation `_QuantizedMatMul`, which keeps the packed matrix from its first run on:
the integers must not change afterwards.
"""

from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import op_def_library

from export.transformer_model.quantization import LARGEST

_TINY = 1e-30
"""Added to the magnitude of a row, which may be zero."""

_ATTRIBUTES: dict[str, Any] = {
    "host_inputs": [],
    "Tdevice_outputs": [tf.float32],
    "Thost_outputs": [],
    "T1": tf.qint8,
    "T2": tf.qint8,
    "Tbias": tf.float32,
    "U": tf.float32,
    "Tout": tf.float32,
    "transpose_a": False,
    "is_weight_const": True,
    "is_bias_const": True,
    "fused_ops": ["BiasAdd", "Dequantize"],
    "input_quant_mode": "SCALED",
    "output_quant_mode": "SCALED",
    "leakyrelu_alpha": 0.0,
}
"""Of every `_QuantizedMatMul`: int8 times int8, with a float32 product."""


@dataclass(frozen=True)
class QuantizedMatrix:
    """A matrix of integers, with a range for each of its outputs: see `quantization`."""

    integers: Any
    """An int8 variable or tensor, (inputs, outputs) or (outputs, inputs)."""
    ranges: Any
    """A float32 variable or tensor (outputs,)."""
    outputs_first: bool
    dtype: tf.DType
    """The dtype of products and rows."""

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """The variables of a matrix that was not `read`."""
        return self.integers, self.ranges

    def read(self) -> "QuantizedMatrix":
        """Returns the matrix with the values of its variables."""
        integers, ranges = (tf.convert_to_tensor(each) for each in self.variables)
        return replace(self, integers=integers, ranges=ranges)

    def rows(self, indices: tf.Tensor) -> tf.Tensor:
        """Returns the weights of some outputs, (indices, inputs); the matrix has its outputs first."""
        assert self.outputs_first
        scales = tf.gather(self.ranges, indices)[:, None] / LARGEST
        return tf.cast(tf.cast(tf.gather(self.integers, indices), tf.float32) * scales, self.dtype)

    def product(self, x: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
        """Returns `x` (rows, inputs) times the matrix, plus `bias` float32 (outputs,): (rows, outputs)."""
        integers, scales = quantized_rows(tf.cast(x, tf.float32))
        out = self._of_integers(integers) * scales
        return tf.cast(out if bias is None else out + bias, self.dtype)

    def _of_integers(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns the product of qint8 `rows` and the weights, float32 (rows, outputs)."""
        outputs = self.ranges.shape[0]
        no_bias = tf.zeros_like(self.ranges)  # A bias here would be added before the scales of the rows.
        one = tf.constant(float(LARGEST))  # The range of an integer that stands for itself.
        weights = tf.bitcast(self.integers, tf.qint8)
        answer = op_def_library.apply_op(
            "_QuantizedMatMul",
            name="quantized_matmul",
            device_inputs=[rows, weights, no_bias, -one, one, self.ranges, self.ranges],
            transpose_b=self.outputs_first,
            **_ATTRIBUTES,
        )
        (product,), _ = answer
        product.set_shape([rows.shape[0], outputs])
        return product


@dataclass(frozen=True)
class QuantizedExperts:
    """The matrices of all experts for one product."""

    matrices: tuple[QuantizedMatrix, ...]

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """The variables of matrices that were not `read`."""
        return tuple(variable for matrix in self.matrices for variable in matrix.variables)

    def read(self) -> "QuantizedExperts":
        """Returns the matrices with the values of their variables."""
        return QuantizedExperts(tuple(matrix.read() for matrix in self.matrices))

    def products(self, x: tf.Tensor) -> tf.Tensor:
        """Returns each expert's product, (experts, rows, outputs), of `x` (experts or 1, rows, inputs)."""
        each = tf.unstack(x, num=len(self.matrices)) if x.shape[0] > 1 else [x[0]] * len(self.matrices)
        return tf.stack([matrix.product(rows) for matrix, rows in zip(self.matrices, each, strict=True)])


def read(weight: Any) -> Any:
    """Returns a weight of any kind with the values of its variables, in the graph that is being traced."""
    quantized = isinstance(weight, QuantizedMatrix | QuantizedExperts)
    return weight.read() if quantized else tf.convert_to_tensor(weight)


def quantized_rows(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Rounds rows as `rounded_rows`, to qint8."""
    integers, scales = rounded_rows(x)
    return tf.bitcast(integers, tf.qint8), scales


def rounded_rows(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Rounds float32 rows (rows, width) to int8; returns them and the scales (rows, 1) of their integers.

    A row with NaN or an infinity has the scale NaN or infinity.
    """
    ranges = tf.reduce_max(tf.abs(x), axis=-1, keepdims=True) + _TINY
    # Not QuantizeV2: TensorFlow's two kernels for it scale differently.
    return tf.cast(tf.round(x * (LARGEST / ranges)), tf.int8), ranges / LARGEST
