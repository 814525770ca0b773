"""Calls between deployments: failures arrive as they were raised, an abandoned stream is cancelled.

Knows Ray Serve's handles; does not know what the answers are for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Any, Generic, Protocol, Self, TypeAlias, TypeVar, cast

from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.util import get_node_ip_address

from deployments import errors
from deployments.messages import FinishReason, Packed, ServableDescription
from deployments.streams.frames import LaneAddress
from deployments.streams.inbox import Inbox, Lane
from deployments.streams.outlets import LinkLostError, Outlets

_LATEST_S = 1.0
"""How long after its call is over a stream's last items may come."""


class Packable(Protocol):
    """A chunk of a stream; the one with `finish` is the last."""

    @property
    def finish(self) -> FinishReason | None: ...

    def packed(self) -> Packed: ...


Chunk = TypeVar("Chunk", bound=Packable)
Out = TypeVar("Out", covariant=True)


class Stream(Protocol[Out]):
    """Ends by itself or by `aclose`, which may come before its first item was asked for."""

    def __aiter__(self) -> AsyncIterator[Out]: ...

    async def __anext__(self) -> Out: ...

    async def aclose(self) -> None: ...


Handle: TypeAlias = Any
"""A DeploymentHandle, whose methods are known only by name."""
Handles: TypeAlias = Mapping[str, Handle]


async def reply(response: Awaitable[Any]) -> Any:
    """The value of a remote call."""
    with _failures_as_raised():
        return await response


async def servable(decoder: Handle) -> ServableDescription:
    """What a decoder serves. By reference: a tokenizer can be larger than a message between replicas."""
    return cast(ServableDescription, await reply(decoder.options(_by_reference=True).servable.remote()))


def inbox() -> Inbox:
    """An inbox at the address under which other nodes know this one."""
    host = get_node_ip_address()  # type: ignore[no-untyped-call]
    return Inbox(host)


def items(response: Any, lane: Lane, unpacked: Callable[[Any], Chunk]) -> Stream[Chunk]:
    """What a call puts into `lane`, up to the finish; whoever stops listening before cancels the call."""
    return _Items(response, lane, unpacked)


class _Items(Generic[Chunk]):
    """Not a generator: one that was never begun would not notice that it is closed."""

    def __init__(self, response: Any, lane: Lane, unpacked: Callable[[Any], Chunk]) -> None:
        self._response = response
        self._lane = lane
        self._unpacked = unpacked
        self._ended = asyncio.ensure_future(reply(response))
        self._ended.add_done_callback(partial(_tell, lane))
        self._open = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        if not self._open:
            raise StopAsyncIteration
        try:
            chunk = await self._next()
        except asyncio.CancelledError:
            await self.aclose()
            raise
        except Exception:
            self._close()
            raise
        if chunk.finish:
            self._close()
        return chunk

    async def aclose(self) -> None:
        if self._open:
            self._response.cancel()
            self._close()

    async def _next(self) -> Chunk:
        packed = await self._lane.take()
        if packed is None:
            await self._ended
            raise errors.TensorloomError("A stream ended without its finish.")
        return self._unpacked(packed)

    def _close(self) -> None:
        self._open = False
        self._lane.close()


async def into(lane: LaneAddress, outlets: Outlets, chunks: Stream[Chunk]) -> None:
    """Put `chunks` into a lane, as the other side of `items`."""
    try:
        async with aclosing(chunks):
            outlet = await outlets.to(lane)
            try:
                async for chunk in chunks:
                    outlet.send(lane.lane, chunk.packed())
            except Exception:
                # The failure itself goes with the call; this says that nothing more comes before it.
                outlet.send(lane.lane, None)
                raise
            await outlet.drain()
    except LinkLostError as error:
        raise errors.ModelServerUnavailable(f"A stream between two processes broke: {error}") from error


def _tell(lane: Lane, ended: "asyncio.Future[Any]") -> None:
    """Once the call is over no more is sent: what is on its way comes soon, or never."""
    if ended.cancelled():
        return
    error = ended.exception()
    if not isinstance(error, Exception):
        error = errors.ModelServerUnavailable("The end of a stream was lost; try again later.")
    asyncio.get_running_loop().call_later(_LATEST_S, lane.fail, error)


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
