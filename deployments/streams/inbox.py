"""The reading side of links: receives frames from other processes and sorts their items into lanes."""

import asyncio
import hmac
import itertools
import secrets
from collections import deque
from typing import Any

from deployments.streams.frames import HEADER, LaneAddress, LinkAddress, decode_body

KEY_BYTES = 16


class Lane:
    """The queue of values received for one generation, in the order in which they were sent."""

    def __init__(self, inbox: "Inbox", address: LaneAddress) -> None:
        self.address = address
        self._inbox = inbox
        self._values: deque[Any] = deque()
        self._error: Exception | None = None
        self._filled = asyncio.Event()

    def put(self, value: Any) -> None:
        """Appends a value that was received."""
        self._values.append(value)
        self._filled.set()

    def fail(self, error: Exception) -> None:
        """Ends the lane: `take` raises `error` (the first one given) once the queue is empty."""
        self._error = self._error or error
        self._filled.set()

    async def take(self) -> Any:
        """Returns the next value, waiting for it if necessary; raises the error of `fail` at the end."""
        while not self._values:
            if self._error is not None:
                raise self._error
            self._filled.clear()
            await self._filled.wait()
        return self._values.popleft()

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
                self._server = await asyncio.start_server(self._read, self._host, 0)
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

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if hmac.compare_digest(await reader.readexactly(KEY_BYTES), self._key):
                while True:
                    (size,) = HEADER.unpack(await reader.readexactly(HEADER.size))
                    self._deliver(await reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            # The writing process closed or died. Its calls fail too, and their failures end the lanes.
            pass
        finally:
            writer.close()

    def _deliver(self, body: bytes) -> None:
        for number, value in decode_body(body):
            if lane := self._lanes.get(number):
                lane.put(value)
