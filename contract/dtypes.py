"""TensorFlow's dtypes as numpy's, and the TensorProto field that carries each.

The field numbers and the values of the enum are TensorFlow's own (tensor.proto, types.proto).
"""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from contract.errors import TensorError
from contract.stubs import types_pb2


@dataclass(frozen=True)
class WireType:
    """How elements of one dtype travel in the typed fields of a TensorProto."""

    numpy: np.dtype[Any]
    enum: int
    field: str
    carrier: np.dtype[Any]
    """What one entry of the field holds; `half_val` holds 16 bits in an int32."""
    bits: bool = False
    """The carrier holds the element's bit pattern, not its value."""


def _wire(dtype: Any, enum: int, field: str, carrier: Any, bits: bool = False) -> WireType:
    return WireType(np.dtype(dtype), enum, field, np.dtype(carrier), bits)


WIRE_TYPES: tuple[WireType, ...] = (
    _wire(np.float32, types_pb2.DT_FLOAT, "float_val", np.float32),
    _wire(np.float64, types_pb2.DT_DOUBLE, "double_val", np.float64),
    _wire(np.float16, types_pb2.DT_HALF, "half_val", np.int32, bits=True),
    _wire(ml_dtypes.bfloat16, types_pb2.DT_BFLOAT16, "half_val", np.int32, bits=True),
    _wire(np.int8, types_pb2.DT_INT8, "int_val", np.int32),
    _wire(np.uint8, types_pb2.DT_UINT8, "int_val", np.int32),
    _wire(np.int16, types_pb2.DT_INT16, "int_val", np.int32),
    _wire(np.uint16, types_pb2.DT_UINT16, "int_val", np.int32),
    _wire(np.int32, types_pb2.DT_INT32, "int_val", np.int32),
    _wire(np.uint32, types_pb2.DT_UINT32, "uint32_val", np.uint32),
    _wire(np.int64, types_pb2.DT_INT64, "int64_val", np.int64),
    _wire(np.uint64, types_pb2.DT_UINT64, "uint64_val", np.uint64),
    _wire(np.bool_, types_pb2.DT_BOOL, "bool_val", np.bool_),
    _wire(np.complex64, types_pb2.DT_COMPLEX64, "scomplex_val", np.float32, bits=True),
    _wire(np.complex128, types_pb2.DT_COMPLEX128, "dcomplex_val", np.float64, bits=True),
)

_BY_ENUM = {wire.enum: wire for wire in WIRE_TYPES}
_BY_NUMPY = {wire.numpy: wire for wire in WIRE_TYPES}
_BY_NAME = {wire.numpy.name: wire for wire in WIRE_TYPES}


def wire_of_enum(enum: int) -> WireType:
    """The wire type of a DataType value; TensorError where no numpy dtype stands for it."""
    try:
        return _BY_ENUM[enum]
    except KeyError:
        raise TensorError(f"dtype {enum} of a tensor has no numpy counterpart") from None


def wire_of_numpy(dtype: np.dtype[Any]) -> WireType:
    """The wire type of a numpy dtype; TensorError where TensorFlow has none."""
    try:
        return _BY_NUMPY[dtype]
    except KeyError:
        raise TensorError(f"numpy dtype {dtype} cannot travel in a TensorProto") from None


def dtype_of_name(name: str) -> np.dtype[Any]:
    """The numpy dtype of a TensorFlow dtype name such as `bfloat16`."""
    try:
        return _BY_NAME[name].numpy
    except KeyError:
        raise TensorError(f"dtype {name!r} is not one of {', '.join(sorted(_BY_NAME))}") from None
