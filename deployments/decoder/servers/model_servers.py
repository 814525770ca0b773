"""What engines ask of model servers, as one small interface. Knows no transport."""

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from contract.tensors import Array
from contract.wire import Tensor

Inputs: TypeAlias = Mapping[str, Tensor]
Tensors: TypeAlias = Mapping[str, Array]


class ServerLostError(Exception):
    """The model server died or fell silent in mid-call: the call may have run in part, or in whole."""


class ModelServers(Protocol):
    """Replicas that all serve the same version of the same model."""

    @property
    def available(self) -> int:
        """Replicas that can take a call now."""

    async def call(self, signature: str, inputs: Inputs) -> Tensors:
        """Run a signature once, on any replica; waits for one that is available.

        Raises StepRejectedError, ServerLostError, or ModelServerUnavailable where none is there in time.
        """
