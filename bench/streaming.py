"""One streamed completion over a connection of its own, recorded as it arrives.

While the clock runs only bytes and times are kept: the load generator shares its cores with what it
measures, so reading the events waits until the window is closed.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field

from bench.latency import Chunk, Trace
from bench.sse import EventReader, ResponseError

_HEAD = (
    "POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    "Connection: close\r\nContent-Length: {length}\r\n\r\n"
)
_EVENT = b"data: "
_DONE = b"[DONE]"
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

    @property
    def whole(self) -> bool:
        """The stream came to its proper end."""
        return any(_DONE in piece for _, piece in self.pieces[-3:])


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
            done = event == _DONE
            total = tokens if done else _completion_tokens(event)
            if total > tokens:
                chunks.append(Chunk(at, total - tokens))
            tokens = total
    if not done and not recording.abandoned:
        last = recording.pieces[-1][1][-_SHOWN:].decode(errors="replace") if recording.pieces else "nothing"
        raise ResponseError(
            f"a stream ended after {tokens} tokens, before {_DONE.decode()}; last came: {last}"
        )
    return Trace(recording.sent, tuple(chunks))


def _completion_tokens(event: bytes) -> int:
    """All tokens of the answer so far."""
    try:
        tokens: int = json.loads(event)["usage"]["completion_tokens"]
    except (KeyError, TypeError):
        raise ResponseError(f"an event without usage: {event.decode()}") from None
    return tokens
