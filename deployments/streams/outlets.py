"""The writing side: one connection to each process that reads, shared by all generations for it."""

import asyncio
from typing import Any

from deployments.streams.frames import Item, LaneAddress, LinkAddress, encode


class LinkLostError(ConnectionError):
    """The process that reads is gone, or the way to it."""


class Outlet:
    """One connection. What is sent within one turn of the event loop leaves in one frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._items: list[Item] = []

    @property
    def lost(self) -> bool:
        # The other side never says anything, but that it closes.
        return self._reader.at_eof() or self._writer.is_closing()

    def send(self, lane: int, value: Any) -> None:
        """LinkLostError where the connection is known to be gone."""
        if self.lost:
            raise LinkLostError("the connection to the reader of a stream was lost")
        if not self._items:
            asyncio.get_running_loop().call_soon(self._flush)
        self._items.append((lane, value))

    async def drain(self) -> None:
        """Wait while the reader is far behind."""
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise LinkLostError(str(error)) from error

    def close(self) -> None:
        self._writer.close()

    def _flush(self) -> None:
        items, self._items = self._items, []
        self._writer.write(encode(items))


class Outlets:
    """One for each process that writes."""

    def __init__(self) -> None:
        self._outlets: dict[LinkAddress, Outlet] = {}
        self._opening: dict[LinkAddress, asyncio.Lock] = {}

    async def to(self, address: LaneAddress) -> Outlet:
        """The connection to the reader of a lane; LinkLostError where there is no way to it."""
        link = address.link
        async with self._opening.setdefault(link, asyncio.Lock()):
            outlet = self._outlets.get(link)
            if outlet is None or outlet.lost:
                outlet = self._outlets[link] = await _connect(link)
        return outlet

    async def close(self) -> None:
        for outlet in self._outlets.values():
            outlet.close()


async def _connect(link: LinkAddress) -> Outlet:
    try:
        reader, writer = await asyncio.open_connection(link.host, link.port)
    except OSError as error:
        raise LinkLostError(f"{link.host}:{link.port} cannot be reached: {error}") from error
    writer.write(link.key)
    return Outlet(reader, writer)
