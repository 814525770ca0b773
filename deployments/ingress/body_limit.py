"""A bound on the size of bodies, as a middleware whose refusal goes through the application's error handlers.

Does not know what bodies hold.
"""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOO_LARGE = 413


class BodyLimit:
    """Lets an application read at most `most` bytes of a body."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, _limited(receive, self._most), send)


def _limited(receive: Receive, most: int) -> Receive:
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise HTTPException(TOO_LARGE)
        return message

    return limited
