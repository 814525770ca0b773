"""Several model servers as one: a call goes to the least busy healthy one; one that fails goes out of use.

Knows no layout of state: whether a call that was lost may be sent again is for the engine to say.
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
        # Not loaded (yet) there, although it was: a restart is under way, or the version is gone.
        grpc.StatusCode.NOT_FOUND,
    }
)
_STATUS_TIMEOUT_S = 5.0
_STATUS_PAUSE_S = 0.2


class ReplicaSet:
    """Keeps `ModelServers`' promise over gRPC, for one version of one model."""

    def __init__(
        self,
        replicas: Sequence[Replica],
        servable: ServableDescription,
        step_timeout_s: float,
        recovery_timeout_s: float,
    ) -> None:
        assert replicas
        self._servable = servable
        self._replicas = tuple(replicas)
        self._step_timeout_s = step_timeout_s
        self._recovery_timeout_s = recovery_timeout_s
        self._healthy = list(replicas)
        self._changed = asyncio.Condition()
        self._watches: set[asyncio.Task[None]] = set()

    @property
    def available(self) -> int:
        return len(self._healthy)

    async def superseded(self) -> bool:
        """Whether the servers that answer have all moved on to other versions of the model."""
        loaded = [
            versions for versions in await asyncio.gather(*map(loaded_versions, self._replicas)) if versions
        ]
        return bool(loaded) and not any(self._servable.id.version in versions for versions in loaded)

    async def call(self, signature: str, inputs: Inputs) -> dict[str, Array]:
        """As `ModelServers.call`. The version goes along: state must never meet another one's weights."""
        replica = await self._least_busy()
        request = predict_request(replica.model, self._servable.id.version, signature, inputs)
        try:
            return await self._call(replica, request)
        except grpc.aio.AioRpcError as error:
            self._judge(replica, error)
            raise ServerLostError(f"{replica.target}: {error.code().name}: {error.details()}") from error

    async def close(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def _call(self, replica: Replica, request: bytes) -> dict[str, Array]:
        replica.calls += 1
        try:
            return await replica.predict(request, self._step_timeout_s)
        except TensorError as error:
            raise StepRejectedError(f"unreadable answer: {error}") from error
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

    def _judge(self, replica: Replica, error: grpc.aio.AioRpcError) -> None:
        """Take a replica that failed out of use; StepRejectedError where the call was at fault."""
        if error.code() not in _TRANSIENT:
            raise StepRejectedError(f"{error.code().name}: {error.details()}") from error
        log.warning("%s failed a call: %s %s", replica.target, error.code().name, error.details())
        if replica in self._healthy:
            self._healthy.remove(replica)
            watch = asyncio.create_task(self._watch(replica))
            self._watches.add(watch)
            watch.add_done_callback(self._watches.discard)

    async def _watch(self, replica: Replica) -> None:
        """Wait until the replica serves our version again, then take it back into use."""
        while self._servable.id.version not in await loaded_versions(replica):  # noqa: ASYNC110
            await asyncio.sleep(_STATUS_PAUSE_S)
        log.info("%s serves again", replica.target)
        async with self._changed:
            self._healthy.append(replica)
            self._changed.notify_all()


async def loaded_versions(replica: Replica) -> list[int]:
    """The versions that the replica has loaded; none where it does not answer."""
    try:
        return await replica.versions(_STATUS_TIMEOUT_S)
    except grpc.aio.AioRpcError:
        return []
