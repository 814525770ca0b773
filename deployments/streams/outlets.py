"""The writing side of links: one connection to each reading process, shared by all its generations."""

import asyncio
from typing import Any

from deployments.streams.frames import Item, LaneAddress, LinkAddress, encode_frame


class LinkLostError(ConnectionError):
    """The reading process ended or cannot be reached."""


class Outlet:
    """One connection. All items sent within one turn of the event loop leave in one frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._items: list[Item] = []

    @property
    def lost(self) -> bool:
        """Whether the connection is known to be closed."""
        # The reading side sends nothing, so the only event here is the end of the connection.
        return self._reader.at_eof() or self._writer.is_closing()

    def send(self, lane: int, value: Any) -> None:
        """Queues a value for `lane`; raises LinkLostError if the connection is known to be closed."""
        if self.lost:
            raise LinkLostError("the connection to the reader of a stream was lost")
        if not self._items:
            asyncio.get_running_loop().call_soon(self._flush)
        self._items.append((lane, value))

    async def drain(self) -> None:
        """Waits until the write buffer has room; raises LinkLostError if the connection breaks."""
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise LinkLostError(str(error)) from error

    def close(self) -> None:
        """Closes the connection."""
        self._writer.close()

    def _flush(self) -> None:
        items, self._items = self._items, []
        self._writer.write(encode_frame(items))


class Outlets:
    """The outlets of one writing process, by the address of the reader."""

    def __init__(self) -> None:
        self._outlets: dict[LinkAddress, Outlet] = {}
        self._opening: dict[LinkAddress, asyncio.Lock] = {}

    async def to(self, address: LaneAddress) -> Outlet:
        """Returns the connection to the reader of a lane, opening it if needed.

        Raises LinkLostError if the reader cannot be reached.
        """
        link = address.link
        async with self._opening.setdefault(link, asyncio.Lock()):
            outlet = self._outlets.get(link)
            if outlet is None or outlet.lost:
                outlet = self._outlets[link] = await _connect(link)
        return outlet

    async def close(self) -> None:
        """Closes all connections."""
        for outlet in self._outlets.values():
            outlet.close()


async def _connect(link: LinkAddress) -> Outlet:
    try:
        reader, writer = await asyncio.open_connection(link.host, link.port)
    except OSError as error:
        raise LinkLostError(f"{link.host}:{link.port} cannot be reached: {error}") from error
    writer.write(link.key)
    return Outlet(reader, writer)
