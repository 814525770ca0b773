"""A loaded version as the rest of the server uses it: its signatures, and how to run them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from contract import tensors
from contract.stubs import types_pb2
from contract.tensors import Array


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature."""

    name: str
    """The tensor's name in the graph."""
    enum: int
    """The dtype, as a number of TensorFlow's DataType."""


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a SignatureDef, by alias."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]
    defaults: Mapping[str, Array]
    """Values of the inputs that a request may leave out."""

    @staticmethod
    def of(proto: Any) -> "Signature":
        """Converts a SignatureDef."""
        return Signature(
            inputs={alias: TensorInfo(info.name, info.dtype) for alias, info in proto.inputs.items()},
            outputs={alias: TensorInfo(info.name, info.dtype) for alias, info in proto.outputs.items()},
            defaults={alias: tensors.from_proto(value) for alias, value in proto.defaults.items()},
        )


def dtype_name(enum: int) -> str:
    """Returns TensorFlow's name of a DataType: `float`, `int32`, `bfloat16`."""
    return str(types_pb2.DataType.Name(enum)).removeprefix("DT_").lower()


class LoadedServable(Protocol):
    """A loaded version. Any number of threads may call `run` at the same time."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """The signatures by name."""

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        """The SignatureDefs of the SavedModel by name."""

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str], seconds: float | None) -> list[Array]:
        """Computes the tensors `fetches` from `feeds`; both use tensor names in the graph.

        Raises StatusError if the run fails or takes longer than `seconds`; None: no deadline.
        """

    def close(self) -> None:
        """Frees the memory. No call may be running."""


ServableLoader: TypeAlias = Callable[[str], LoadedServable]
"""Loads the version at a path; StatusError if it cannot be loaded."""
