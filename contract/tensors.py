"""Tensors between numpy and TensorProto, both ways, with no Python per element.

Writing uses `tensor_content`, which every model server reads. Reading takes whatever a server sends, and
takes it as TensorFlow does: `tensor_content`, or the typed fields (`float_val`, `half_val`, ...) that
TensorFlow Serving uses by default, where the last value fills a shape that is larger than the values are
many, and values past the shape do not count.
"""

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from contract import packed
from contract.dtypes import WireType, wire_of_enum, wire_of_numpy
from contract.errors import TensorError
from contract.stubs import tensor_pb2, tensor_shape_pb2, types_pb2

Array: TypeAlias = npt.NDArray[Any]

_NUMBERS = {field.name: field.number for field in tensor_pb2.TensorProto.DESCRIPTOR.fields}


def to_proto(array: Array) -> tensor_pb2.TensorProto:
    """`array` as a TensorProto carrying `tensor_content`; an object array of bytes becomes DT_STRING."""
    proto = tensor_pb2.TensorProto()
    write_content(array, proto)
    return proto


def to_typed_proto(array: Array) -> tensor_pb2.TensorProto:
    """`array` in the typed fields, as TensorFlow Serving answers by default."""
    proto = tensor_pb2.TensorProto()
    write_typed(array, proto)
    return proto


def write_content(array: Array, proto: tensor_pb2.TensorProto) -> None:
    """As `to_proto`, into an empty message that is part of another."""
    describe(array.dtype, array.shape, proto)
    is_string = array.dtype == object
    proto.tensor_content = packed.strings(array.ravel().tolist()) if is_string else array.tobytes()


def write_typed(array: Array, proto: tensor_pb2.TensorProto) -> None:
    """As `to_typed_proto`, into an empty message that is part of another."""
    describe(array.dtype, array.shape, proto)
    if array.dtype == object:
        proto.string_val.extend(array.ravel().tolist())
        return
    wire = wire_of_numpy(array.dtype)
    values = _to_carrier(array, wire)
    if values.dtype.kind == "f":
        # On the wire floats lie as in memory, so that many of them are one copy.
        proto.MergeFromString(packed.field(_NUMBERS[wire.field], values.tobytes()))
    else:
        getattr(proto, wire.field).extend(values.tolist())


def from_proto(proto: tensor_pb2.TensorProto) -> Array:
    """The array that `proto` stands for; strings become an object array of bytes.

    The result may share the proto's memory and is read-only then. Raises TensorError where dtype, shape
    and values do not fit together.
    """
    shape = _shape(proto.tensor_shape)
    try:
        return _read(proto, shape)
    except (MemoryError, OverflowError, ValueError) as error:
        raise TensorError(f"a tensor of shape {list(shape)} cannot be read: {error}") from None


def _read(proto: tensor_pb2.TensorProto, shape: tuple[int, ...]) -> Array:
    if proto.dtype == types_pb2.DT_STRING:
        return _read_strings(proto, shape)
    wire = wire_of_enum(proto.dtype)
    # Asked for once: protobuf hands out a copy every time.
    if content := proto.tensor_content:
        return _from_content(content, wire, shape)
    return _fill(_from_carrier(np.asarray(getattr(proto, wire.field)), wire), shape)


def describe(dtype: np.dtype[Any], shape: tuple[int, ...], proto: tensor_pb2.TensorProto) -> None:
    """Write dtype and shape; TensorError for a dtype that TensorFlow has not."""
    proto.dtype = types_pb2.DT_STRING if dtype.kind == "O" else wire_of_numpy(dtype).enum
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add(size=size)


def _shape(proto: tensor_shape_pb2.TensorShapeProto) -> tuple[int, ...]:
    shape = tuple(dim.size for dim in proto.dim)
    if proto.unknown_rank or any(size < 0 for size in shape):
        raise TensorError(f"a tensor's shape must be known, not {list(shape)}")
    return shape


def _read_strings(proto: tensor_pb2.TensorProto, shape: tuple[int, ...]) -> Array:
    if content := proto.tensor_content:
        found = packed.read_strings(content, math.prod(shape))
    else:
        found = list(proto.string_val)
    values = np.empty(len(found), dtype=object)
    values[:] = found
    return _fill(values, shape)


def _from_content(content: bytes, wire: WireType, shape: tuple[int, ...]) -> Array:
    expected = math.prod(shape) * wire.numpy.itemsize
    if len(content) != expected:
        raise TensorError(f"tensor_content has {len(content)} bytes; shape {list(shape)} takes {expected}")
    return np.frombuffer(content, dtype=wire.numpy).reshape(shape)


def _to_carrier(array: Array, wire: WireType) -> Array:
    flat = np.ascontiguousarray(array).ravel()
    if not wire.bits:
        return flat
    if wire.field == "half_val":
        return flat.view(np.uint16)
    return flat.view(wire.carrier)


def _from_carrier(values: Array, wire: WireType) -> Array:
    if not values.size:
        return np.empty(0, wire.numpy)
    if not wire.bits:
        return values.astype(wire.numpy, copy=False)
    if wire.field == "half_val":
        return values.astype(np.uint16).view(wire.numpy)
    whole = len(values) // 2 * 2
    return values[:whole].astype(wire.carrier, copy=False).view(wire.numpy)


def _fill(values: Array, shape: tuple[int, ...]) -> Array:
    """`values` in `shape`, the last repeated where there are too few, zero where there are none."""
    count = math.prod(shape)
    if len(values) >= count:
        return values[:count].reshape(shape)
    filled = np.empty(count, values.dtype)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1] if len(values) else (b"" if values.dtype == object else 0)
    return filled.reshape(shape)
