"""A signature as the checks of a Predict call need it: aliases, tensor names, dtypes. Knows no TensorFlow."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contract import tensors
from contract.stubs import types_pb2
from contract.tensors import Array


@dataclass(frozen=True)
class TensorName:
    """One input or output: the tensor's name in the graph, and its DataType."""

    name: str
    enum: int


@dataclass(frozen=True)
class Signature:
    """What goes in and what comes out, by alias."""

    inputs: Mapping[str, TensorName]
    outputs: Mapping[str, TensorName]
    defaults: Mapping[str, Array]
    """Values of the inputs that a request may leave out."""

    @staticmethod
    def of(proto: Any) -> "Signature":
        """The signature that a SignatureDef describes."""
        return Signature(
            inputs={alias: TensorName(info.name, info.dtype) for alias, info in proto.inputs.items()},
            outputs={alias: TensorName(info.name, info.dtype) for alias, info in proto.outputs.items()},
            defaults={alias: tensors.from_proto(value) for alias, value in proto.defaults.items()},
        )


def dtype_name(enum: int) -> str:
    """TensorFlow's name of a DataType: `float`, `int32`, `bfloat16`."""
    return str(types_pb2.DataType.Name(enum)).removeprefix("DT_").lower()
