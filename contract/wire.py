"""A serialized PredictRequest into which each tensor's memory is copied once.

protobuf writes the small messages. The tags and lengths around tensors are written here, with the field
numbers of the official descriptors: a PredictRequest built by protobuf would copy every tensor into the
message, and a second time into the bytes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from contract import packed
from contract.stubs import model_pb2, predict_pb2, tensor_pb2
from contract.tensors import Array, Shape, describe

Buffer: TypeAlias = bytes | memoryview


@dataclass(frozen=True)
class Parts:
    """A tensor whose elements lie, in row-major order, in several pieces of memory."""

    dtype: np.dtype[Any]
    shape: Shape
    pieces: Sequence[Array]
    """C-contiguous arrays of `dtype` and any shapes, with as many elements in total as `shape` has."""

    def __post_init__(self) -> None:
        assert sum(piece.size for piece in self.pieces) == math.prod(self.shape), (
            f"pieces do not have the elements of {self.shape}"
        )
        assert all(piece.flags.c_contiguous for piece in self.pieces), "a piece is not contiguous"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Returns the pieces as one array (numpy's protocol)."""
        joined = np.concatenate([piece.ravel() for piece in self.pieces])
        return joined.reshape(self.shape).astype(dtype or self.dtype, copy=False)


Tensor: TypeAlias = Array | Parts
"""The value of an input."""


def predict_request(model: str, version: int, signature: str, inputs: Mapping[str, Tensor]) -> bytes:
    """Returns a serialized PredictRequest; TensorError for a dtype that TensorFlow does not have."""
    spec = model_pb2.ModelSpec(name=model, signature_name=signature)
    spec.version.value = version
    buffers: list[Buffer] = [packed.field(_SPEC, spec.SerializeToString())]
    for name, tensor in inputs.items():
        buffers += _delimited(
            _INPUTS, [packed.field(_KEY, name.encode()), *_delimited(_VALUE, _tensor(tensor))]
        )
    return b"".join(buffers)


def _tensor(tensor: Tensor) -> list[Buffer]:
    """Returns the buffers of a serialized TensorProto with `tensor_content`."""
    proto = tensor_pb2.TensorProto()
    describe(tensor.dtype, tensor.shape, proto)
    return [proto.SerializeToString(), *_delimited(_CONTENT, _content(tensor))]


def _content(tensor: Tensor) -> list[Buffer]:
    if isinstance(tensor, Parts):
        return [_memory(piece) for piece in tensor.pieces]
    if tensor.dtype.kind == "O":
        return [packed.strings(tensor.ravel().tolist())]
    return [_memory(np.ascontiguousarray(tensor))]


def _memory(array: Array) -> memoryview:
    """Returns the memory of a contiguous array, as bytes: numpy exposes no buffer of ml_dtypes."""
    return array.reshape(-1).view(np.uint8).data


def _delimited(number: int, buffers: list[Buffer]) -> list[Buffer]:
    """Returns the buffers of the length-delimited field `number` whose bytes are those of `buffers`."""
    return [packed.head(number, sum(map(len, buffers))), *buffers]


def _number(message: Any, name: str) -> int:
    number: int = message.fields_by_name[name].number
    return number


_REQUEST = predict_pb2.PredictRequest.DESCRIPTOR
_SPEC = _number(_REQUEST, "model_spec")
_INPUTS = _number(_REQUEST, "inputs")
_ENTRY = _REQUEST.fields_by_name["inputs"].message_type
_KEY = _number(_ENTRY, "key")
_VALUE = _number(_ENTRY, "value")
_CONTENT = _number(tensor_pb2.TensorProto.DESCRIPTOR, "tensor_content")
