"""One streamed completion over a connection of its own, recorded as it arrives.

While the clock runs only bytes and times are kept: the load generator shares its cores with what it
measures, so events are parsed after the window has closed.
"""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Protocol

from bench.errors import ResponseError
from bench.latency import Chunk, Trace
from bench.sse import EventReader
from bench.workload import Workload

_HEAD = (
    "POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
    "Connection: close\r\nContent-Length: {length}\r\n\r\n"
)
_EVENT = b"data: "
_SHOWN = 300
"""Bytes of a broken response that an error message shows."""


class Dialect(Protocol):
    """One server's variant of OpenAI's /v1/completions."""

    end: bytes
    """Occurs in the last piece of a complete stream, and never before."""

    def body(self, workload: Workload, number: int, new_tokens: int) -> bytes:
        """Returns request `number` as JSON."""
        ...

    def tokens(self, event: bytes, before: int) -> int:
        """Returns the answer's tokens so far, where there were `before`; raises ResponseError on an error."""
        ...


class ContinuousUsage:
    """Token ids as prompts, and the tokens so far in every event: this application's dialect, and vLLM's."""

    end = b"[DONE]"

    def body(self, workload: Workload, number: int, new_tokens: int) -> bytes:
        """Returns request `number` as JSON."""
        return workload.body(number, new_tokens)

    def tokens(self, event: bytes, before: int) -> int:
        """Returns the tokens that the event's `usage` holds."""
        if event == self.end:
            return before
        try:
            tokens: int = json.loads(event)["usage"]["completion_tokens"]
        except (KeyError, TypeError):
            raise ResponseError(f"an event without usage: {event.decode()}") from None
        return tokens


OWN: Dialect = ContinuousUsage()


@dataclass
class Recording:
    """One request's response, with the time of each piece."""

    sent: float
    begun: asyncio.Event
    """Set with the first event."""
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: bool = True
    """True until the server ends the stream: the client ended it, perhaps before it was connected."""
    dialect: Dialect = OWN

    @property
    def whole(self) -> bool:
        """Whether the stream came to its proper end."""
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
    """Sends `body` and records until the server closes; if cancelled, closes the connection at once."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(lambda: _Recorder(recording), host, port)
    try:
        transport.write(_HEAD.format(host=host, length=len(body)).encode() + body)
        await recording.ended.wait()
        recording.abandoned = False
    finally:
        transport.abort()


def trace(recording: Recording) -> Trace:
    """Returns the chunks that brought tokens; raises ResponseError on an error or a stream cut short."""
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
            f"last received: {last}"
        )
    return Trace(recording.sent, tuple(chunks))
