"""Calls between deployments through Ray Serve's handles, with single results and with streams of chunks.

A failure is raised here as the exception that the other process raised; a stream that its reader abandons is
cancelled in the other process.
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

_LAST_ITEMS_TIMEOUT_S = 1.0
"""How long a stream still waits for items after its call has ended."""


class Packable(Protocol):
    """A chunk of a stream. The chunk whose `finish` is set is the last."""

    @property
    def finish(self) -> FinishReason | None:
        """Why the stream ends here; None if more chunks follow."""

    def packed(self) -> Packed:
        """Returns the chunk as plain values."""


Chunk = TypeVar("Chunk", bound=Packable)
ChunkOut = TypeVar("ChunkOut", covariant=True)


class Stream(Protocol[ChunkOut]):
    """An asynchronous iterator of chunks. `aclose` ends it early, even before its first chunk was read."""

    def __aiter__(self) -> AsyncIterator[ChunkOut]: ...

    async def __anext__(self) -> ChunkOut: ...

    async def aclose(self) -> None:
        """Ends the stream."""


Handle: TypeAlias = Any
"""A DeploymentHandle. Its methods are those of the deployment, which type checkers cannot see."""
Handles: TypeAlias = Mapping[str, Handle]
"""The decoders of an application, by the name of their model."""


class Method:
    """One method of another deployment, to be called through Serve.

    Arguments and results are pickled, which is faster than cloudpickle, Serve's default, and enough here.
    """

    def __init__(self, handle: Handle, name: str) -> None:
        self._handle = handle
        self._name = name
        self._bound: Handle | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Sends a call and returns its response, which can be awaited and cancelled."""
        if self._bound is None:
            # Not before the first call: Serve connects a handle here, in the event loop that runs the calls.
            self._bound = self._handle.options(
                method_name=self._name, request_serialization="pickle", response_serialization="pickle"
            )
        return self._bound.remote(*arguments)


async def call_result(response: Awaitable[Any]) -> Any:
    """Awaits a remote call and returns its result.

    Raises the TensorloomError that the other process raised, Overloaded if its queue is full, and
    ModelServerUnavailable if the process ended.
    """
    with _failures_as_raised():
        return await response


async def fetch_servable(decoder: Handle) -> ServableDescription:
    """Asks a decoder for the servable version that it serves."""
    # By reference, since a tokenizer can be larger than a message between replicas may be.
    return cast(ServableDescription, await call_result(decoder.options(_by_reference=True).servable.remote()))


def open_inbox() -> Inbox:
    """Creates an inbox at the address under which other nodes reach this one."""
    host = get_node_ip_address()  # type: ignore[no-untyped-call]
    return Inbox(host)


def read_stream(response: Any, lane: Lane, unpacked: Callable[[Any], Chunk]) -> Stream[Chunk]:
    """Returns the stream of chunks that the call behind `response` writes into `lane`.

    It ends with the chunk whose `finish` is set. Closing it before that cancels the call. A failure of the
    call is raised after the chunks that came before it.
    """
    return _LaneStream(response, lane, unpacked)


class _LaneStream(Generic[Chunk]):
    """The stream of `read_stream`.

    A class, since closing an async generator that was never started does not run its `finally`.
    """

    def __init__(self, response: Any, lane: Lane, unpacked: Callable[[Any], Chunk]) -> None:
        self._response = response
        self._lane = lane
        self._unpacked = unpacked
        self._ended = asyncio.ensure_future(call_result(response))
        self._ended.add_done_callback(partial(_fail_lane_after, lane))
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
        """Ends the stream."""
        if self._open:
            self._response.cancel()
            self._close()

    async def _next(self) -> Chunk:
        packed = await self._lane.take()
        if packed is None:
            await self._ended
            raise errors.TensorloomError("A stream ended without a finish reason.")
        return self._unpacked(packed)

    def _close(self) -> None:
        self._open = False
        self._lane.close()


async def write_stream(lane: LaneAddress, outlets: Outlets, chunks: Stream[Chunk]) -> None:
    """Writes `chunks` into a lane that the caller reads with `read_stream`, and closes them.

    Raises what `chunks` raises, and ModelServerUnavailable if the reader is lost.
    """
    try:
        async with aclosing(chunks):
            outlet = await outlets.to(lane)
            try:
                async for chunk in chunks:
                    outlet.send(lane.lane, chunk.packed())
            except Exception:
                # None tells the reader that no chunk follows; the call itself carries the failure.
                outlet.send(lane.lane, None)
                raise
            await outlet.drain()
    except LinkLostError as error:
        raise errors.ModelServerUnavailable(f"A stream between two processes broke: {error}") from error


def _fail_lane_after(lane: Lane, ended: "asyncio.Future[Any]") -> None:
    """Ends `lane` a while after its call: items that are on their way arrive soon or never."""
    if ended.cancelled():
        return
    error = ended.exception()
    if not isinstance(error, Exception):
        error = errors.ModelServerUnavailable("The last part of a stream was lost; try again later.")
    asyncio.get_running_loop().call_later(_LAST_ITEMS_TIMEOUT_S, lane.fail, error)


@contextmanager
def _failures_as_raised() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if known := _known(error):
            raise known from error
        raise


def _known(error: Exception) -> errors.TensorloomError | None:
    """Returns the TensorloomError inside Ray's wrapping, or the one for a failure of the call itself."""
    if found := errors.find(error):
        return found
    if isinstance(error, BackPressureError):
        return errors.Overloaded("Too many requests are waiting already; try again later.")
    if isinstance(error, RayActorError | DeploymentUnavailableError):
        return errors.ModelServerUnavailable("A process that serves this model ended; try again later.")
    return None
