"""The interface of model servers that engines use, independent of the transport."""

from collections.abc import Mapping
from typing import Protocol, TypeAlias

from contract.tensors import Array
from contract.wire import Tensor

Inputs: TypeAlias = Mapping[str, Tensor]
"""The inputs of a call, by name; a tensor may lie in several pieces of memory."""
Tensors: TypeAlias = Mapping[str, Array]
"""Inputs or outputs of a call as arrays, by name."""


class ServerLostError(Exception):
    """The model server died or did not answer in time; the call may have run in part or completely."""


class ModelServers(Protocol):
    """Model server replicas that all serve the same version of the same model."""

    @property
    def available(self) -> int:
        """Number of replicas that can take a call now."""

    async def call(self, signature: str, inputs: Inputs) -> Tensors:
        """Runs a signature once, on any replica; waits until one is available.

        Raises StepRejectedError if the call is at fault, ServerLostError if the replica is lost, and
        ModelServerUnavailable if no replica becomes available in time.
        """
