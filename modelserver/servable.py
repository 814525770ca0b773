"""A loaded version as the rest of the server sees it. Knows no TensorFlow."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from contract.tensors import Array
from modelserver.signature import Signature


class LoadedServable(Protocol):
    """Signatures, and a way to run them. Any number of threads may call `run` at a time."""

    @property
    def signatures(self) -> Mapping[str, Signature]: ...

    @property
    def signature_defs(self) -> Mapping[str, Any]:
        """The SignatureDefs as the model has them."""

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str], seconds: float | None) -> list[Array]:
        """The values of the tensors `fetches`, within `seconds`; Status where the run fails."""

    def close(self) -> None:
        """Give the memory back. No call may be running."""


Loader: TypeAlias = Callable[[str], LoadedServable]
"""From a version's path; Status where it cannot be loaded."""
