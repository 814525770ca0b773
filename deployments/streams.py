"""Calls between deployments: failures arrive as they were raised, an abandoned stream is cancelled.

Knows Ray Serve's handles; does not know what the answers are for.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar, cast

from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from deployments import errors
from deployments.messages import Servable

Item = TypeVar("Item")
Stream: TypeAlias = AsyncGenerator[Item, None]

Handle: TypeAlias = Any
"""A DeploymentHandle, whose methods are known only by name."""
Handles: TypeAlias = Mapping[str, Handle]


async def reply(response: Awaitable[Any]) -> Any:
    """The value of a remote call."""
    with _failures_as_raised():
        return await response


async def servable(decoder: Handle) -> Servable:
    """What a decoder serves. By reference: a tokenizer can be larger than a message between replicas."""
    return cast(Servable, await reply(decoder.options(_by_reference=True).servable.remote()))


async def items(response: Any) -> Stream[Any]:
    """The items of a remote stream; whoever stops listening before its end cancels the other side."""
    try:
        with _failures_as_raised():
            async for item in response:
                yield item
    except (GeneratorExit, asyncio.CancelledError):
        response.cancel()
        raise


@contextmanager
def _failures_as_raised() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if known := _known(error):
            raise known from error
        raise


def _known(error: Exception) -> errors.TensorloomError | None:
    """What failed on the other side, out of Ray's wrapping, or what it means that the call itself failed."""
    if found := errors.find(error):
        return found
    if isinstance(error, BackPressureError):
        return errors.Overloaded("Too many requests wait already; try again later.")
    if isinstance(error, RayActorError | DeploymentUnavailableError):
        return errors.ModelServerUnavailable("A process that serves this model went away; try again later.")
    return None
