"""Several model servers used as one: a call goes to the least busy healthy replica.

A replica that fails is not used until it answers again. Lost calls are not sent again here: whether that is
safe depends on the state layout, so the engine decides.
"""

import asyncio
import logging
from collections.abc import Sequence

import grpc

from contract.errors import TensorError
from contract.tensors import Array
from contract.wire import predict_request
from deployments.decoder.engine import StepRejectedError
from deployments.decoder.servers.model_servers import Inputs, ServerLostError
from deployments.decoder.servers.replica import Replica
from deployments.errors import ModelServerUnavailable
from deployments.messages import ServableDescription

log = logging.getLogger(__name__)

_TRANSIENT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        # The version was loaded and is not now: the server is restarting, or has unloaded it.
        grpc.StatusCode.NOT_FOUND,
    }
)
_STATUS_TIMEOUT_S = 5.0
_STATUS_PAUSE_S = 0.2


class ReplicaSet:
    """Implements `ModelServers` over gRPC, for one version of one model."""

    def __init__(
        self,
        replicas: Sequence[Replica],
        servable: ServableDescription,
        step_timeout_s: float,
        recovery_timeout_s: float,
    ) -> None:
        """`step_timeout_s`: deadline of a call; `recovery_timeout_s`: how long a call waits for a replica."""
        assert replicas, "at least one replica is needed"
        self._servable = servable
        self._replicas = tuple(replicas)
        self._step_timeout_s = step_timeout_s
        self._recovery_timeout_s = recovery_timeout_s
        self._healthy = list(replicas)
        self._changed = asyncio.Condition()
        self._watches: set[asyncio.Task[None]] = set()

    @property
    def available(self) -> int:
        """Replicas that are healthy."""
        return len(self._healthy)

    async def superseded(self) -> bool:
        """Returns whether some replica answers, and none that answers has this version loaded any more."""
        loaded = [
            versions for versions in await asyncio.gather(*map(loaded_versions, self._replicas)) if versions
        ]
        return bool(loaded) and not any(self._servable.id.version in versions for versions in loaded)

    async def call(self, signature: str, inputs: Inputs) -> dict[str, Array]:
        """Implements `ModelServers.call`. Names the version, so that state never meets other weights."""
        replica = await self._least_busy()
        request = predict_request(replica.model, self._servable.id.version, signature, inputs)
        try:
            return await self._call(replica, request)
        except grpc.aio.AioRpcError as error:
            self._handle_failure(replica, error)
            raise ServerLostError(f"{replica.target}: {error.code().name}: {error.details()}") from error

    async def close(self) -> None:
        """Stops waiting for failed replicas; the replicas themselves stay open."""
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _call(self, replica: Replica, request: bytes) -> dict[str, Array]:
        replica.calls += 1
        try:
            return await replica.predict(request, self._step_timeout_s)
        except TensorError as error:
            raise StepRejectedError(f"the output cannot be read: {error}") from error
        finally:
            replica.calls -= 1

    async def _least_busy(self) -> Replica:
        try:
            async with asyncio.timeout(self._recovery_timeout_s), self._changed:
                await self._changed.wait_for(lambda: self._healthy)
                return min(self._healthy, key=lambda replica: replica.calls)
        except TimeoutError:
            raise ModelServerUnavailable(
                f"no model server answered for {self._recovery_timeout_s:g} seconds"
            ) from None

    def _handle_failure(self, replica: Replica, error: grpc.aio.AioRpcError) -> None:
        """Stops using a replica that failed; raises StepRejectedError if the call was at fault instead."""
        if error.code() not in _TRANSIENT:
            raise StepRejectedError(f"{error.code().name}: {error.details()}") from error
        log.warning(
            "%s failed a call and is not used until it answers again: %s: %s",
            replica.target,
            error.code().name,
            error.details(),
        )
        if replica in self._healthy:
            self._healthy.remove(replica)
            watch = asyncio.create_task(self._await_recovery(replica))
            self._watches.add(watch)
            watch.add_done_callback(self._watches.discard)

    async def _await_recovery(self, replica: Replica) -> None:
        """Waits until the replica serves the version again, then uses it again."""
        while self._servable.id.version not in await loaded_versions(replica):  # noqa: ASYNC110
            await asyncio.sleep(_STATUS_PAUSE_S)
        log.info("%s serves again", replica.target)
        async with self._changed:
            self._healthy.append(replica)
            self._changed.notify_all()


async def loaded_versions(replica: Replica) -> list[int]:
    """Returns the versions that the replica has loaded; [] if it does not answer."""
    try:
        return await replica.versions(_STATUS_TIMEOUT_S)
    except grpc.aio.AioRpcError:
        return []
