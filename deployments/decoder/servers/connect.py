"""Connects the model servers of a model's configuration, managed or external, and reads their manifest."""

import asyncio
from dataclasses import dataclass

import grpc

from deployments.config import DecoderArgs, ExternalServer, ManagedServer, ModelArgs
from deployments.decoder.servers.replica import Replica
from deployments.decoder.servers.replica_set import ReplicaSet, loaded_versions
from deployments.decoder.servers.supervisor import ManagedServerError, Supervisor
from deployments.errors import ModelServerUnavailable
from deployments.messages import ServableDescription

_STATUS_PAUSE_S = 0.1
_MANIFEST_TIMEOUT_S = 60.0


@dataclass
class ConnectedServers:
    """Connected model servers, and the supervisor of those that are managed (None for external ones)."""

    servable: ServableDescription
    servers: ReplicaSet
    replicas: list[Replica]
    supervisor: Supervisor | None

    async def close(self) -> None:
        """Closes the channels, and ends managed servers."""
        await self.servers.close()
        for replica in self.replicas:
            await replica.close()
        if self.supervisor is not None:
            await self.supervisor.close()


async def connect(model: ModelArgs) -> ConnectedServers:
    """Starts managed servers, waits until all servers have a version in common, and reads its manifest.

    Raises ManagedServerError if a managed server cannot be started, ModelServerUnavailable if not all servers
    answer in time or they have no version in common, ContractError if the manifest is missing or invalid.
    """
    if isinstance(model.server, ManagedServer):
        return await _connect_managed(model, model.server)
    return await _connect_external(model, model.server)


async def _connect_managed(model: ModelArgs, config: ManagedServer) -> ConnectedServers:
    supervisor = Supervisor(config, model.name)
    await supervisor.start()
    replicas = [Replica(target, model.name) for target in supervisor.targets]
    ready = asyncio.create_task(_version(replicas, None, config.start_timeout_s))
    exited = asyncio.create_task(supervisor.exited())
    try:
        await asyncio.wait([ready, exited], return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            raise ManagedServerError(
                f"a model server of {model.name} ended with status {exited.result()} while it started; "
                "see its log for the reason"
            )
        return await _connected(model, replicas, ready.result(), supervisor)
    except BaseException:
        await supervisor.close()
        raise
    finally:
        ready.cancel()
        exited.cancel()


async def _connect_external(model: ModelArgs, config: ExternalServer) -> ConnectedServers:
    replicas = [Replica(address, config.model_name or model.name) for address in config.addresses]
    version = await _version(replicas, config.model_version, model.decoder.recovery_timeout_s)
    return await _connected(model, replicas, version, None)


async def _connected(
    model: ModelArgs, replicas: list[Replica], version: int, supervisor: Supervisor | None
) -> ConnectedServers:
    servable = await _servable(replicas[0], version, model.name)
    args: DecoderArgs = model.decoder
    servers = ReplicaSet(replicas, servable, args.step_timeout_s, args.recovery_timeout_s)
    return ConnectedServers(servable, servers, replicas, supervisor)


async def _servable(replica: Replica, version: int, name: str) -> ServableDescription:
    try:
        return await replica.servable(version, name, _MANIFEST_TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        raise ModelServerUnavailable(
            f"{replica.target} failed to return the manifest of {replica.model} version {version}: "
            f"{error.code().name}: {error.details()}"
        ) from error


async def _version(replicas: list[Replica], wanted: int | None, timeout_s: float) -> int:
    """Waits for all replicas; returns `wanted`, or the highest version that all have loaded."""
    try:
        async with asyncio.timeout(timeout_s):
            loaded = await asyncio.gather(*(_loaded(replica, wanted) for replica in replicas))
    except TimeoutError:
        targets = ", ".join(replica.target for replica in replicas)
        version = f"version {wanted}" if wanted is not None else "a version"
        raise ModelServerUnavailable(
            f"not all of {targets} serve {version} of {replicas[0].model} after {timeout_s:g} seconds"
        ) from None
    common = set(loaded[0]).intersection(*loaded[1:])
    if not common:
        raise ModelServerUnavailable(f"the model servers have no version of {replicas[0].model} in common")
    return wanted if wanted is not None else max(common)


async def _loaded(replica: Replica, wanted: int | None) -> list[int]:
    """Waits until the replica has loaded `wanted`, or any version; returns its loaded versions."""
    while True:
        versions = await loaded_versions(replica)
        if versions and (wanted is None or wanted in versions):
            return versions
        await asyncio.sleep(_STATUS_PAUSE_S)
