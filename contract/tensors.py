"""Tensors between numpy and TensorProto, both ways, with no Python per element.

Writing uses `tensor_content`, which every model server reads. Reading takes whatever a server sends:
`tensor_content`, or the typed fields (`float_val`, `half_val`, ...) that TensorFlow Serving uses by
default, where fewer values than elements mean that the last one fills the rest.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from contract.dtypes import WireType, wire_of_enum, wire_of_numpy
from contract.errors import TensorError
from contract.stubs import tensor_pb2, tensor_shape_pb2, types_pb2

Array: TypeAlias = npt.NDArray[Any]


def to_proto(array: Array) -> tensor_pb2.TensorProto:
    """`array` as a TensorProto carrying `tensor_content`; an object array of bytes becomes DT_STRING."""
    if array.dtype == object:
        return _strings_to_proto(array)
    proto = _empty(array, wire_of_numpy(array.dtype).enum)
    proto.tensor_content = array.tobytes()
    return proto


def to_typed_proto(array: Array) -> tensor_pb2.TensorProto:
    """`array` in the typed fields, as TensorFlow Serving answers by default."""
    if array.dtype == object:
        return _strings_to_proto(array)
    wire = wire_of_numpy(array.dtype)
    proto = _empty(array, wire.enum)
    getattr(proto, wire.field).extend(_to_carrier(array, wire).tolist())
    return proto


def from_proto(proto: tensor_pb2.TensorProto) -> Array:
    """The array that `proto` stands for; strings become an object array of bytes.

    The result may share the proto's memory and is read-only then. Raises TensorError where dtype, shape
    and values do not fit together.
    """
    shape = _shape(proto.tensor_shape)
    if proto.dtype == types_pb2.DT_STRING:
        values = np.empty(len(proto.string_val), dtype=object)
        values[:] = proto.string_val
        return _fill(values, shape)
    wire = wire_of_enum(proto.dtype)
    if proto.tensor_content:
        return _from_content(proto.tensor_content, wire, shape)
    return _fill(_from_carrier(np.asarray(getattr(proto, wire.field)), wire), shape)


def _empty(array: Array, enum: int) -> tensor_pb2.TensorProto:
    dims = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in array.shape]
    return tensor_pb2.TensorProto(
        dtype=enum,
        tensor_shape=tensor_shape_pb2.TensorShapeProto(dim=dims),
    )


def _strings_to_proto(array: Array) -> tensor_pb2.TensorProto:
    proto = _empty(array, types_pb2.DT_STRING)
    proto.string_val.extend(array.ravel().tolist())
    return proto


def _shape(proto: tensor_shape_pb2.TensorShapeProto) -> tuple[int, ...]:
    shape = tuple(dim.size for dim in proto.dim)
    if proto.unknown_rank or any(size < 0 for size in shape):
        raise TensorError(f"a tensor's shape must be known, not {list(shape)}")
    return shape


def _from_content(content: bytes, wire: WireType, shape: tuple[int, ...]) -> Array:
    expected = int(np.prod(shape, dtype=np.int64)) * wire.numpy.itemsize
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
    return values.astype(wire.carrier, copy=False).view(wire.numpy)


def _fill(values: Array, shape: tuple[int, ...]) -> Array:
    """`values` in `shape`, the last repeated where there are too few, zero where there are none."""
    count = int(np.prod(shape, dtype=np.int64))
    if len(values) == count:
        return values.reshape(shape)
    if len(values) > count:
        raise TensorError(f"a tensor of shape {list(shape)} came with {len(values)} values")
    filled = np.empty(count, values.dtype)
    filled[: len(values)] = values
    filled[len(values) :] = values[-1] if len(values) else (b"" if values.dtype == object else 0)
    return filled.reshape(shape)
