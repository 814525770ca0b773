"""The Keras layers and operations that treat each position of a sequence by itself."""

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from export.errors import UnsupportedError

_LAYERS = (
    *(layers.Embedding, layers.ReversibleEmbedding, layers.Masking, layers.Identity, layers.Rescaling),
    *(layers.Dense, layers.TimeDistributed),
    *(layers.Activation, layers.ELU, layers.LeakyReLU, layers.ReLU, layers.Softmax),
    *(layers.BatchNormalization, layers.LayerNormalization),
    *(layers.RMSNormalization, layers.UnitNormalization),
    *(layers.ActivityRegularization, layers.Dropout, layers.SpatialDropout1D),
    *(layers.AlphaDropout, layers.GaussianDropout, layers.GaussianNoise),
    *(layers.Add, layers.Average, layers.Concatenate),
    *(layers.Maximum, layers.Minimum, layers.Multiply, layers.Subtract),
)

_OPERATIONS = (
    *("Absolute", "Add", "Cast", "Clip", "Concatenate", "Divide", "Exp", "Log", "Maximum", "Minimum"),
    *("Multiply", "Negative", "OneHot", "Power", "Sqrt", "Square", "StopGradient", "Subtract", "TrueDivide"),
    *("Elu", "Gelu", "HardSigmoid", "HardSilu", "LeakyRelu", "LogSoftmax", "Relu", "Relu6", "Selu"),
    *("Sigmoid", "Silu", "Softmax", "Softplus", "Softsign", "Tanh"),
)
"""Operations of keras.ops by the names of their classes, which are not public."""


def check_positionwise(operation: Any) -> None:
    """Raises UnsupportedError unless each position's output is known to depend on that position alone."""
    if isinstance(operation, layers.Bidirectional):
        raise UnsupportedError(
            f"{described(operation)} also reads backwards: this cannot be done step by step"
        )
    if not _is_known(operation):
        raise UnsupportedError(f"{described(operation)} {_unknown(operation)}")
    if not all(axis in (-1, 2) for axis in _axes(operation)):
        raise UnsupportedError(
            f"{described(operation)} has axis {operation.axis}: only -1 stays within one position"
        )


def described(operation: Any) -> str:
    """Returns the kind, name and type of an operation, for messages."""
    kind = "layer" if isinstance(operation, layers.Layer) else "operation"
    return f"{kind} {operation.name!r} ({type(operation).__name__})"


def _unknown(operation: Any) -> str:
    # What Lambda and EinsumDense compute depends on their arguments.
    of_keras = type(operation).__module__.startswith("keras.")
    if of_keras and not isinstance(operation, layers.Lambda | layers.EinsumDense):
        return "may look at other positions, so it cannot be run step by step: write the step by hand"
    return (
        "is not known to treat each position by itself; if it does, pass "
        f"positionwise=({operation.name!r},), otherwise write the step by hand"
    )


def _is_known(operation: Any) -> bool:
    if isinstance(operation, keras.Layer):
        return type(operation) in _LAYERS
    return type(operation).__name__ in _OPERATIONS


def _axes(operation: Any) -> Iterator[int]:
    axis = getattr(operation, "axis", None)
    yield from () if axis is None else [axis] if isinstance(axis, int) else axis
