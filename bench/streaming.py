"""One streamed completion over a connection of its own, recorded as it arrives.

While the clock runs only bytes and times are kept: the load generator shares its cores with what it
measures, so reading the events waits until the window is closed.
"""

import asyncio
import time
from dataclasses import dataclass, field

from bench.dialects import ContinuousUsage, Dialect
from bench.latency import Chunk, Trace
from bench.sse import EventReader, ResponseError

_HEAD = (
    "POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    "Connection: close\r\nContent-Length: {length}\r\n\r\n"
)
_EVENT = b"data: "
OWN: Dialect = ContinuousUsage()
_SHOWN = 300
"""Bytes of a broken answer that are worth showing."""


@dataclass
class Recording:
    """What came back for one request, with the time of each piece."""

    sent: float
    begun: asyncio.Event
    """Set with the first event."""
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: bool = True
    """Ended from this side, perhaps before there was a connection; until the other side ends it."""
    dialect: Dialect = OWN

    @property
    def whole(self) -> bool:
        """The stream came to its proper end."""
        return any(self.dialect.end in piece for _, piece in self.pieces[-3:])


class _Recorder(asyncio.Protocol):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def data_received(self, data: bytes) -> None:
        self._recording.pieces.append((time.perf_counter(), data))
        if not self._recording.begun.is_set() and _EVENT in data:
            self._recording.begun.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._recording.ended.set()


async def complete(host: str, port: int, body: bytes, recording: Recording) -> None:
    """Send `body` and record until the other side closes; cancelled, the connection ends at once."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: _Recorder(recording), host, port)
    try:
        transport.write(_HEAD.format(host=host, length=len(body)).encode() + body)
        await recording.ended.wait()
        recording.abandoned = False
    finally:
        transport.abort()


def trace(recording: Recording) -> Trace:
    """The chunks that brought tokens; ResponseError where the answer is an error, or ended too early."""
    reader = EventReader()
    chunks: list[Chunk] = []
    done = False
    tokens = 0
    for at, piece in recording.pieces:
        for event in reader.feed(piece):
            done = done or recording.dialect.end in event
            total = recording.dialect.tokens(event, tokens)
            if total > tokens:
                chunks.append(Chunk(at, total - tokens))
            tokens = total
    if not done and not recording.abandoned:
        last = recording.pieces[-1][1][-_SHOWN:].decode(errors="replace") if recording.pieces else "nothing"
        raise ResponseError(
            f"a stream ended after {tokens} tokens, before {recording.dialect.end.decode()}; "
            f"last came: {last}"
        )
    return Trace(recording.sent, tuple(chunks))
