"""What the loop asks of model servers, as one small interface. Knows no transport."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Tensors: TypeAlias = Mapping[str, Array]


class StepRejectedError(Exception):
    """The model server answered, and will answer the same again: the call itself is at fault."""


class ModelServers(Protocol):
    """Replicas that all serve the same version of the same model."""

    @property
    def available(self) -> int:
        """Replicas that can take a call now."""

    async def step(self, inputs: Tensors) -> Mapping[str, np.ndarray[Any, np.dtype[Any]]]:
        """Run the `step` signature once, on any replica; a replica that dies meanwhile costs a resend.

        Raises StepRejectedError, or ModelServerUnavailable where no replica answered in time.
        """
