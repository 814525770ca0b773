"""The reading side of links: receives frames from other processes and sorts their items into lanes."""

import asyncio
import hmac
import itertools
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any

from deployments.streams.frames import LaneAddress, LinkAddress, decode_body, split_frames

KEY_BYTES = 16


class Lane:
    """The queue of values received for one generation, in the order in which they were sent."""

    def __init__(self, inbox: "Inbox", address: LaneAddress) -> None:
        self.address = address
        self._inbox = inbox
        self._values: deque[Any] = deque()
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        """What `take` waits for."""

    def put(self, value: Any) -> None:
        """Appends a value that was received."""
        self._values.append(value)
        self._wake()

    def fail(self, error: Exception) -> None:
        """Ends the lane: `take` raises `error` (the first one given) once the queue is empty."""
        self._error = self._error or error
        self._wake()

    async def take(self) -> Any:
        """Returns the next value, waiting for it if necessary; raises the error of `fail` at the end.

        Must not be called by two tasks at a time.
        """
        while not self._values:
            if self._error is not None:
                raise self._error
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return self._values.popleft()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def close(self) -> None:
        """Removes the lane from the inbox: values that arrive later are dropped."""
        self._inbox.forget(self)


class Inbox:
    """Listens on a port of `host` and holds the lanes of one process."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._key = secrets.token_bytes(KEY_BYTES)
        self._lanes: dict[int, Lane] = {}
        self._numbers = itertools.count()
        self._starting = asyncio.Lock()
        self._server: asyncio.Server | None = None

    async def open(self) -> Lane:
        """Opens a new lane. The first call starts listening."""
        async with self._starting:
            if self._server is None:
                loop = asyncio.get_running_loop()
                self._server = await loop.create_server(self._connection, self._host, 0)
        port = self._server.sockets[0].getsockname()[1]
        number = next(self._numbers)
        address = LaneAddress(LinkAddress(self._host, port, self._key), number)
        lane = self._lanes[number] = Lane(self, address)
        return lane

    def forget(self, lane: Lane) -> None:
        """Removes `lane`; called by `Lane.close`."""
        self._lanes.pop(lane.address.lane, None)

    async def close(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()

    def _connection(self) -> asyncio.Protocol:
        return _Connection(self._key, lambda body: self._deliver(body))

    def _deliver(self, body: bytes) -> None:
        for number, value in decode_body(body):
            if lane := self._lanes.get(number):
                lane.put(value)


class _Connection(asyncio.Protocol):
    """The reading end of one link: checks the writer's key, then delivers the bodies of its frames.

    If the writing process closes or dies, its calls fail too, and their failures end the lanes.
    """

    def __init__(self, key: bytes, deliver: Callable[[bytes], None]) -> None:
        self._key = key
        self._deliver = deliver
        self._accepted = False
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by the event loop with the next bytes, cut anywhere."""
        self._received += data
        if not self._accepted:
            self._check_key()
        if self._accepted:
            bodies, self._received = split_frames(self._received)
            for body in bodies:
                self._deliver(body)

    def _check_key(self) -> None:
        if len(self._received) < KEY_BYTES:
            return
        given, self._received = self._received[:KEY_BYTES], self._received[KEY_BYTES:]
        self._accepted = hmac.compare_digest(given, self._key)
        if not self._accepted:
            self._transport.close()
