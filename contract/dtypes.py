"""TensorFlow's dtypes, the numpy dtype of each, and the TensorProto field that carries its elements.

Field names and DataType values are those of TensorFlow's tensor.proto and types.proto.
"""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from contract.errors import TensorError
from contract.stubs import types_pb2


@dataclass(frozen=True)
class ProtoDtype:
    """One dtype, and how a TensorProto carries its elements in a typed field."""

    numpy: np.dtype[Any]
    enum: int
    """The DataType value, such as DT_FLOAT."""
    field: str
    """The name of the repeated field, such as `float_val`."""
    carrier: np.dtype[Any]
    """The dtype of one entry of the field; `half_val` holds 16 bits in an int32."""
    bits: bool = False
    """True where entries hold an element's bit pattern (half, bfloat16, complex), not its value."""


def _proto_dtype(dtype: Any, enum: int, field: str, carrier: Any, bits: bool = False) -> ProtoDtype:
    return ProtoDtype(np.dtype(dtype), enum, field, np.dtype(carrier), bits)


PROTO_DTYPES: tuple[ProtoDtype, ...] = (
    _proto_dtype(np.float32, types_pb2.DT_FLOAT, "float_val", np.float32),
    _proto_dtype(np.float64, types_pb2.DT_DOUBLE, "double_val", np.float64),
    _proto_dtype(np.float16, types_pb2.DT_HALF, "half_val", np.int32, bits=True),
    _proto_dtype(ml_dtypes.bfloat16, types_pb2.DT_BFLOAT16, "half_val", np.int32, bits=True),
    _proto_dtype(np.int8, types_pb2.DT_INT8, "int_val", np.int32),
    _proto_dtype(np.uint8, types_pb2.DT_UINT8, "int_val", np.int32),
    _proto_dtype(np.int16, types_pb2.DT_INT16, "int_val", np.int32),
    _proto_dtype(np.uint16, types_pb2.DT_UINT16, "int_val", np.int32),
    _proto_dtype(np.int32, types_pb2.DT_INT32, "int_val", np.int32),
    _proto_dtype(np.uint32, types_pb2.DT_UINT32, "uint32_val", np.uint32),
    _proto_dtype(np.int64, types_pb2.DT_INT64, "int64_val", np.int64),
    _proto_dtype(np.uint64, types_pb2.DT_UINT64, "uint64_val", np.uint64),
    _proto_dtype(np.bool_, types_pb2.DT_BOOL, "bool_val", np.bool_),
    _proto_dtype(np.complex64, types_pb2.DT_COMPLEX64, "scomplex_val", np.float32, bits=True),
    _proto_dtype(np.complex128, types_pb2.DT_COMPLEX128, "dcomplex_val", np.float64, bits=True),
)

_BY_ENUM = {dtype.enum: dtype for dtype in PROTO_DTYPES}
_BY_NUMPY = {dtype.numpy: dtype for dtype in PROTO_DTYPES}
_BY_NAME = {dtype.numpy.name: dtype for dtype in PROTO_DTYPES}


def proto_dtype_of_enum(enum: int) -> ProtoDtype:
    """Returns the entry of PROTO_DTYPES for a DataType value; TensorError if there is none."""
    try:
        return _BY_ENUM[enum]
    except KeyError:
        raise TensorError(f"DataType {enum} has no numpy dtype") from None


def proto_dtype_of_numpy(dtype: np.dtype[Any]) -> ProtoDtype:
    """Returns the entry of PROTO_DTYPES for a numpy dtype; TensorError if there is none."""
    try:
        return _BY_NUMPY[dtype]
    except KeyError:
        raise TensorError(f"numpy dtype {dtype} has no TensorFlow dtype") from None


def dtype_of_name(name: str) -> np.dtype[Any]:
    """Returns the numpy dtype with this name, such as `bfloat16`; TensorError if there is none."""
    try:
        return _BY_NAME[name].numpy
    except KeyError:
        raise TensorError(f"dtype {name!r} is not one of {', '.join(sorted(_BY_NAME))}") from None
