"""The right to a model server's pool: claimed under an epoch of our own, checked by the graph in every call.

A server that restarted, was reloaded, or was claimed by another loop answers with an error; that is told
apart here from a call that is at fault itself.
"""

import secrets

import numpy as np

from contract import names
from deployments.decoder.engine import StateLostError, StepRejectedError
from deployments.decoder.servers.model_servers import ModelServers, ServerLostError, Tensors
from deployments.errors import ModelServerUnavailable

_SIGNS_OF_LOSS = ("stale lease", "Could not find variable", "does not exist")
"""The graph's own check, and what TensorFlow says of a pool that nobody has claimed."""

MAX_LOSSES = 5
"""After so many losses with no call in between that succeeded, our calls are taken to be their cause."""


class Lease:
    """Calls under an epoch; the first call, and the first after a loss, claims a new pool before it."""

    def __init__(self, servers: ModelServers, slots: tuple[int, ...]) -> None:
        """`slots`: how many to claim of each block."""
        self._servers = servers
        self._slots = np.array(slots, np.int32)
        self._epoch: int | None = None
        self._losses = 0

    @property
    def held(self) -> bool:
        """A pool was claimed, and nothing says that it is lost."""
        return self._epoch is not None

    def give_up(self) -> None:
        """The next call claims a new pool."""
        self._epoch = None

    async def call(self, signature: str, inputs: Tensors) -> Tensors:
        """Run `signature` on our pool. Raises StateLostError where the pool is no longer ours.

        Also StepRejectedError, and ModelServerUnavailable where no server answers, or each one dies of it.
        """
        if self._epoch is None:
            self._epoch = await self._claim()
        try:
            outputs = await self._run(signature, self._epoch, inputs)
        except (StateLostError, ModelServerUnavailable):
            self._epoch = None
            raise
        self._losses = 0
        return outputs

    async def _claim(self) -> int:
        epoch = secrets.randbits(62)
        await self._run(names.CLAIM_SIGNATURE, epoch, {names.SLOTS: self._slots})
        return epoch

    async def _run(self, signature: str, epoch: int, inputs: Tensors) -> Tensors:
        try:
            return await self._servers.call(signature, {names.EPOCH: np.array(epoch, np.int64), **inputs})
        except ServerLostError as error:
            raise self._loss(f"a model server was lost ({error})") from error
        except StepRejectedError as error:
            if any(sign in str(error) for sign in _SIGNS_OF_LOSS):
                raise self._loss(f"the pool is no longer ours ({error})") from error
            raise

    def _loss(self, what: str) -> StateLostError | ModelServerUnavailable:
        self._losses += 1
        if self._losses < MAX_LOSSES:
            return StateLostError(what)
        self._losses = 0
        return ModelServerUnavailable(f"{what}, {MAX_LOSSES} times in a row")
