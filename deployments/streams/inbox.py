"""The listening side: takes frames from any number of processes and sorts their items into lanes."""

import asyncio
import hmac
import itertools
import secrets
from collections import deque
from typing import Any

from deployments.streams.frames import HEADER, LaneAddress, LinkAddress, decode

KEY_BYTES = 16


class Lane:
    """What comes for one generation, in order; ends by an error at the latest."""

    def __init__(self, inbox: "Inbox", address: LaneAddress) -> None:
        self.address = address
        self._inbox = inbox
        self._values: deque[Any] = deque()
        self._error: Exception | None = None
        self._filled = asyncio.Event()

    def put(self, value: Any) -> None:
        self._values.append(value)
        self._filled.set()

    def fail(self, error: Exception) -> None:
        """Nothing more will come; what is there is still handed out."""
        self._error = self._error or error
        self._filled.set()

    async def take(self) -> Any:
        """The next value; the error once there are none left."""
        while not self._values:
            if self._error is not None:
                raise self._error
            self._filled.clear()
            await self._filled.wait()
        return self._values.popleft()

    def close(self) -> None:
        """Whatever still comes for it is dropped."""
        self._inbox.forget(self)


class Inbox:
    """One for each process that reads."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._key = secrets.token_bytes(KEY_BYTES)
        self._lanes: dict[int, Lane] = {}
        self._numbers = itertools.count()
        self._starting = asyncio.Lock()
        self._server: asyncio.Server | None = None

    async def open(self) -> Lane:
        """A new lane; the first one makes the inbox listen."""
        async with self._starting:
            if self._server is None:
                self._server = await asyncio.start_server(self._read, self._host, 0)
        port = self._server.sockets[0].getsockname()[1]
        number = next(self._numbers)
        address = LaneAddress(LinkAddress(self._host, port, self._key), number)
        lane = self._lanes[number] = Lane(self, address)
        return lane

    def forget(self, lane: Lane) -> None:
        self._lanes.pop(lane.address.lane, None)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if hmac.compare_digest(await reader.readexactly(KEY_BYTES), self._key):
                while True:
                    (size,) = HEADER.unpack(await reader.readexactly(HEADER.size))
                    self._deliver(await reader.readexactly(size))
        except (asyncio.IncompleteReadError, ConnectionError):
            # The other process closed or died; its calls, which fail beside this, tell the lanes.
            pass
        finally:
            writer.close()

    def _deliver(self, body: bytes) -> None:
        for number, value in decode(body):
            if lane := self._lanes.get(number):
                lane.put(value)
