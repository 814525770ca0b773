"""The lease of a model server's pool: claimed under an epoch that the graph checks in every call.

A server that was restarted, reloaded, or claimed by another decoder answers with an error. This module tells
such a loss apart from a call that is rejected for its own fault.
"""

import secrets

import numpy as np

from contract import names
from deployments.decoder.engine import StateLostError, StepRejectedError
from deployments.decoder.servers.model_servers import ModelServers, ServerLostError, Tensors
from deployments.errors import ModelServerUnavailable

_LOSS_MESSAGES = ("stale lease", "Could not find variable", "does not exist")
"""The message of the graph's own check, and TensorFlow's messages about a pool that was never claimed."""

MAX_LOSSES = 5
"""After so many losses without a successful call in between, the calls are assumed to cause them."""


class Lease:
    """Runs calls under the epoch of a claimed pool."""

    def __init__(self, servers: ModelServers, slots: tuple[int, ...]) -> None:
        """`slots`: how many slots of the claimed pool have each block."""
        self._servers = servers
        self._slots = np.array(slots, np.int32)
        self._epoch: int | None = None
        self._losses = 0
        self._lost_epoch: int | None = None
        """The last epoch that was lost: of several calls in flight, only one counts."""

    @property
    def held(self) -> bool:
        """Whether a pool is claimed and not known to be lost."""
        return self._epoch is not None

    def give_up(self) -> None:
        """Abandons the pool; the next call claims a new one."""
        self._epoch = None

    async def claim(self) -> None:
        """Claims a new, empty pool; raises as `call`."""
        epoch = secrets.randbits(62)
        await self._run(names.CLAIM_SIGNATURE, epoch, {names.SLOTS: self._slots})
        self._epoch = epoch

    async def call(self, signature: str, inputs: Tensors) -> Tensors:
        """Runs `signature` on the pool.

        Raises StateLostError if the pool is lost or none is claimed, StepRejectedError if the call is at
        fault, and ModelServerUnavailable if no server answers or MAX_LOSSES calls in a row have lost the
        pool.
        """
        if (epoch := self._epoch) is None:
            # Another call has lost it since.
            raise StateLostError("the pool has to be claimed again")
        try:
            outputs = await self._run(signature, epoch, inputs)
        except (StateLostError, ModelServerUnavailable):
            if self._epoch == epoch:
                self._epoch = None
            raise
        self._losses = 0
        return outputs

    async def _run(self, signature: str, epoch: int, inputs: Tensors) -> Tensors:
        try:
            return await self._servers.call(signature, {names.EPOCH: np.array(epoch, np.int64), **inputs})
        except ServerLostError as error:
            raise self._loss(epoch, f"a model server was lost ({error})") from error
        except StepRejectedError as error:
            if any(message in str(error) for message in _LOSS_MESSAGES):
                raise self._loss(epoch, f"the lease of the pool was lost ({error})") from error
            raise

    def _loss(self, epoch: int, message: str) -> StateLostError | ModelServerUnavailable:
        """Counts the loss of an epoch; returns the error to raise."""
        self._losses += epoch != self._lost_epoch
        self._lost_epoch = epoch
        if self._losses < MAX_LOSSES:
            return StateLostError(message)
        self._losses = 0
        return ModelServerUnavailable(f"{message}, {MAX_LOSSES} times in a row")
