"""How one RPC ends: with its answer, with its Status, or refused where too many are under way."""

import threading
from collections.abc import Callable
from typing import TypeVar

import grpc

from modelserver.errors import Status

T = TypeVar("T")


class Gate:
    """Lets `limit` calls run at a time and refuses more, as the real server does with its threads."""

    def __init__(self, limit: int) -> None:
        assert limit > 0, f"a gate for {limit} calls"
        self._free = threading.Semaphore(limit)

    def answer(self, context: grpc.ServicerContext, call: Callable[[], T]) -> T:
        """`call`'s result, or its Status as the end of the RPC."""
        if not self._free.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
        try:
            return call()
        except Status as error:
            context.abort(error.code, error.wire_message)
        finally:
            self._free.release()
