"""Conversion between numpy arrays and TensorProto, without Python code per element.

A TensorProto carries its elements in `tensor_content`, or in a typed field (`float_val`, `half_val`, ...).
Requests use `tensor_content`, which every model server reads. TensorFlow Serving answers with typed fields by
default, so both are read, as TensorFlow does: if a typed field has fewer values than the shape has elements,
its last value is repeated; values beyond the shape are ignored.
"""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from contract import packed
from contract.dtypes import ProtoDtype, proto_dtype_of_enum, proto_dtype_of_numpy
from contract.errors import TensorError
from contract.stubs import tensor_pb2, tensor_shape_pb2, types_pb2

Array: TypeAlias = npt.NDArray[Any]
"""A numpy array of any dtype; strings are an object array of bytes."""

Ids: TypeAlias = npt.NDArray[np.int32]
"""Token ids (tokens,)."""

Shape: TypeAlias = tuple[int, ...]

_FIELD_NUMBERS = {field.name: field.number for field in tensor_pb2.TensorProto.DESCRIPTOR.fields}


def to_proto(array: Array) -> tensor_pb2.TensorProto:
    """Returns `array` as a TensorProto with `tensor_content`; an object array of bytes becomes DT_STRING."""
    proto = tensor_pb2.TensorProto()
    write_content(array, proto)
    return proto


def to_typed_proto(array: Array) -> tensor_pb2.TensorProto:
    """Returns `array` as a TensorProto with a typed field, as TensorFlow Serving answers by default."""
    proto = tensor_pb2.TensorProto()
    write_typed(array, proto)
    return proto


def write_content(array: Array, proto: tensor_pb2.TensorProto) -> None:
    """Does what `to_proto` does, into `proto`, an empty message that may be part of another."""
    describe(array.dtype, array.shape, proto)
    is_string = array.dtype == object
    proto.tensor_content = packed.strings(array.ravel().tolist()) if is_string else array.tobytes()


def write_typed(array: Array, proto: tensor_pb2.TensorProto) -> None:
    """Does what `to_typed_proto` does, into `proto`, an empty message that may be part of another."""
    describe(array.dtype, array.shape, proto)
    if array.dtype == object:
        proto.string_val.extend(array.ravel().tolist())
        return
    dtype = proto_dtype_of_numpy(array.dtype)
    values = _to_carrier(array, dtype)
    if values.dtype.kind == "f":
        # A packed field of floats has the layout of memory, so all of them are one copy.
        proto.MergeFromString(packed.field(_FIELD_NUMBERS[dtype.field], values.tobytes()))
    else:
        getattr(proto, dtype.field).extend(values.tolist())


def from_proto(proto: tensor_pb2.TensorProto) -> Array:
    """Returns the array of a TensorProto; DT_STRING becomes an object array of bytes.

    The array may be read-only, where it shares memory with `tensor_content`. Raises TensorError if dtype,
    shape and values do not agree.
    """
    shape = _shape(proto.tensor_shape)
    try:
        return _read(proto, shape)
    except (MemoryError, OverflowError, ValueError) as error:
        raise TensorError(f"tensor of shape {list(shape)} cannot be read: {error}") from None


def _read(proto: tensor_pb2.TensorProto, shape: Shape) -> Array:
    if proto.dtype == types_pb2.DT_STRING:
        return _read_strings(proto, shape)
    dtype = proto_dtype_of_enum(proto.dtype)
    # Read once: protobuf returns a copy every time.
    if content := proto.tensor_content:
        return _from_content(content, dtype, shape)
    return _fill(_from_carrier(np.asarray(getattr(proto, dtype.field)), dtype), shape)


def describe(dtype: np.dtype[Any], shape: Shape, proto: tensor_pb2.TensorProto) -> None:
    """Writes dtype and shape into `proto`; TensorError for a dtype that TensorFlow does not have."""
    proto.dtype = types_pb2.DT_STRING if dtype.kind == "O" else proto_dtype_of_numpy(dtype).enum
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add(size=size)


def _shape(proto: tensor_shape_pb2.TensorShapeProto) -> Shape:
    shape = tuple(dim.size for dim in proto.dim)
    if proto.unknown_rank:
        raise TensorError("the rank of a tensor must be known")
    if any(size < 0 for size in shape):
        raise TensorError(f"every size of a tensor's shape must be at least 0, not {list(shape)}")
    return shape


def _read_strings(proto: tensor_pb2.TensorProto, shape: Shape) -> Array:
    if content := proto.tensor_content:
        items = packed.read_strings(content, math.prod(shape))
    else:
        items = list(proto.string_val)
    values = np.empty(len(items), dtype=object)
    values[:] = items
    return _fill(values, shape)


def _from_content(content: bytes, dtype: ProtoDtype, shape: Shape) -> Array:
    expected = math.prod(shape) * dtype.numpy.itemsize
    if len(content) != expected:
        raise TensorError(f"tensor_content has {len(content)} bytes; shape {list(shape)} needs {expected}")
    return np.frombuffer(content, dtype=dtype.numpy).reshape(shape)


def _to_carrier(array: Array, dtype: ProtoDtype) -> Array:
    flat = np.ascontiguousarray(array).ravel()
    if not dtype.bits:
        return flat
    if dtype.field == "half_val":
        return flat.view(np.uint16)
    return flat.view(dtype.carrier)


def _from_carrier(values: Array, dtype: ProtoDtype) -> Array:
    if not values.size:
        return np.empty(0, dtype.numpy)
    if not dtype.bits:
        return values.astype(dtype.numpy, copy=False)
    if dtype.field == "half_val":
        return values.astype(np.uint16).view(dtype.numpy)
    whole = len(values) // 2 * 2
    return values[:whole].astype(dtype.carrier, copy=False).view(dtype.numpy)


def _fill(values: Array, shape: Shape) -> Array:
    """Returns `values` (count,) in `shape`: cut, or padded with its last value, or zero if it is empty."""
    count = math.prod(shape)
    if len(values) >= count:
        return values[:count].reshape(shape)
    filled = np.empty(count, values.dtype)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1] if len(values) else (b"" if values.dtype == object else 0)
    return filled.reshape(shape)
