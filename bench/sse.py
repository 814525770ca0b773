"""HTTP/1.1 responses that carry Server-Sent Events, read piece by piece. Pure."""

from bench.errors import ResponseError

_HEAD_END = b"\r\n\r\n"
_EVENT_END = b"\n\n"
_DATA = b"data: "


class EventReader:
    """Receives a response piece by piece, and returns the data of the events that each piece completes."""

    def __init__(self) -> None:
        self._body = _BodyReader()
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Returns the data of every event that ends within `piece`.

        Raises ResponseError where the status is not 200 or the body is not chunked.
        """
        *events, self._rest = (self._rest + self._body.feed(piece)).split(_EVENT_END)
        return [event.removeprefix(_DATA) for event in events]


class _BodyReader:
    """Removes the head and the framing of a chunked body."""

    def __init__(self) -> None:
        self._pending = b""
        self._in_body = False
        self._missing = 0
        """Bytes of the current chunk that have not arrived, its line end included."""

    def feed(self, piece: bytes) -> bytes:
        self._pending += piece
        if not self._in_body and not self._head():
            return b""
        parts = []
        while (part := self._part()) is not None:
            parts.append(part)
        return b"".join(parts)

    def _head(self) -> bool:
        """Returns whether the head is complete."""
        head, end, body = self._pending.partition(_HEAD_END)
        if not end:
            return False
        status, *fields = head.split(b"\r\n")
        if status.split()[1] != b"200":
            raise ResponseError(f"{status.decode()}: {body.decode(errors='replace')}")
        if not any(field.lower().replace(b" ", b"") == b"transfer-encoding:chunked" for field in fields):
            raise ResponseError("the response is not chunked")
        self._pending, self._in_body = body, True
        return True

    def _part(self) -> bytes | None:
        """Returns the next bytes of the body, or None where they have not arrived."""
        if not self._missing:
            size, end, rest = self._pending.partition(b"\r\n")
            if not end:
                return None
            self._pending, self._missing = rest, int(size, 16) + 2
        taken, self._pending = self._pending[: self._missing], self._pending[self._missing :]
        if not taken:
            return None
        content = max(0, min(len(taken), self._missing - 2))
        self._missing -= len(taken)
        return taken[:content]
