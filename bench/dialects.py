"""What servers differ in: how a completion is asked for, and how many tokens an event tells of. Pure."""

import json
from typing import Protocol

from bench.sse import ResponseError
from bench.workload import Workload


class Dialect(Protocol):
    """One server's way of speaking OpenAI's /v1/completions."""

    end: bytes
    """Comes with a stream's proper end, and never before."""

    def body(self, workload: Workload, number: int, new_tokens: int) -> bytes:
        """Request `number` as JSON."""
        ...

    def tokens(self, event: bytes, before: int) -> int:
        """All tokens of the answer so far, where there were `before`; ResponseError for a failure."""
        ...


class ContinuousUsage:
    """Token ids as prompts, and every event with the tokens so far: this application's way, and vLLM's."""

    end = b"[DONE]"

    def body(self, workload: Workload, number: int, new_tokens: int) -> bytes:
        return workload.body(number, new_tokens)

    def tokens(self, event: bytes, before: int) -> int:
        if event == self.end:
            return before
        try:
            tokens: int = json.loads(event)["usage"]["completion_tokens"]
        except (KeyError, TypeError):
            raise ResponseError(f"an event without usage: {event.decode()}") from None
        return tokens
