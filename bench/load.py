"""A server under load: concurrent sessions over HTTP, measured in a window of fixed length.

Every session sends its requests back to back. The window opens a few seconds after every session has its
first text, so that the burst at the start is not measured; the sessions' first requests have different
lengths, so that later requests do not start together either. Sessions that will be queued start once the
others have their first text. When the window closes, requests in progress are abandoned.
"""

import asyncio
import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

from bench import usage
from bench.latency import Measurement, Window, latencies
from bench.processes import Child
from bench.streaming import OWN, Dialect, Recording, complete, trace
from bench.workload import MOST_AT_ONCE, Workload, settling_s

_Returned = TypeVar("_Returned")
Beside = Callable[[], Coroutine[Any, Any, None]]

_START_TIMEOUT_S = 300.0
"""Until every session has its first text, queueing included."""
_POLL_S = 0.5
_REST_S = 3.0
_NUMBERS = itertools.count()
"""Numbers of requests: each has a prompt of its own."""


@dataclass(frozen=True)
class Address:
    """Where a server listens, and the dialect that it speaks."""

    host: str
    port: int
    dialect: Dialect = OWN

    async def complete(self, workload: Workload, new_tokens: int, begun: asyncio.Event) -> Recording:
        """Sends one request and returns its whole response."""
        recording = Recording(time.perf_counter(), begun, dialect=self.dialect)
        await self.record(workload, new_tokens, recording)
        return recording

    async def record(self, workload: Workload, new_tokens: int, recording: Recording) -> None:
        """Sends one request and records its response; raises ResponseError where that is not complete."""
        body = self.dialect.body(workload, next(_NUMBERS), new_tokens)
        recording.sent = time.perf_counter()
        await complete(self.host, self.port, body, recording)
        if not recording.whole:
            trace(recording)  # raises with the server's message

    def fetch(self, path: str, body: Any = None, timeout_s: float = 120.0) -> Any:
        """Returns the JSON response to GET, or to POST where there is a `body`; None where it is not JSON."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{self.host}:{self.port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            content = response.read()
        try:
            return json.loads(content)
        except ValueError:
            return None


@dataclass(frozen=True)
class Served:
    """A server that is ready, and its processes."""

    address: Address
    child: Child
    model: str | None = None
    """The model's name at this server, where it differs from the workload's."""
    rest_ms_per_s: Mapping[str, float] = field(default_factory=dict)
    """CPU milliseconds by part in a second without requests, once measured."""

    def wait_until_healthy(self, timeout_s: float) -> None:
        """Waits until /health responds with 200; raises ProcessEnded or TimeoutError otherwise."""
        end = time.monotonic() + timeout_s
        while not self._healthy():
            self.child.check()
            if time.monotonic() > end:
                raise TimeoutError(
                    f"{self.child.name} was not ready within {timeout_s:.0f} s:\n{self.child.log}"
                )
            time.sleep(_POLL_S)

    def _healthy(self) -> bool:
        try:
            self.address.fetch("/health", timeout_s=5)
        except OSError:  # HTTP errors included
            return False
        return True

    def at_rest(self, seconds: float = _REST_S) -> Self:
        """Returns the server with its CPU time at rest: waits, then measures, `seconds` each."""
        time.sleep(seconds)
        before, start = self._cpu(), time.perf_counter()
        time.sleep(seconds)
        spent = usage.spent(before, self._cpu())
        elapsed = time.perf_counter() - start
        return replace(self, rest_ms_per_s={part: 1000 * used / elapsed for part, used in spent.items()})

    def measure(
        self, workload: Workload, sessions: int, seconds: float, beside: Beside | None = None
    ) -> Measurement:
        """Measures `sessions` concurrent sessions for `seconds`; raises ResponseError on a failed response.

        `beside` runs while the window is open, and is not in the figures.
        """
        workload = replace(workload, model=self.model or workload.model)
        return _run(self._measure(workload, sessions, seconds, beside))

    async def _measure(
        self, workload: Workload, count: int, seconds: float, beside: Beside | None
    ) -> Measurement:
        sessions = [_Session(self.address, workload, workload.first_length(i, count)) for i in range(count)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(session.run()) for session in sessions[:MOST_AT_ONCE]]
            await _all_begun(sessions[:MOST_AT_ONCE])
            tasks += [group.create_task(session.run()) for session in sessions[MOST_AT_ONCE:]]
            await asyncio.sleep(settling_s(seconds))
            tasks += [group.create_task(beside())] if beside else []
            before, cpu, start = self._cpu(), time.process_time(), time.perf_counter()
            await asyncio.sleep(seconds)
            end, client, after = time.perf_counter(), time.process_time() - cpu, self._cpu()
            for task in tasks:
                task.cancel()
        traces = [trace(recording) for session in sessions for recording in session.recordings]
        seen = latencies(traces, Window(start, end))
        tokens = max(1, seen.tokens)
        by_part = {part: 1000 * used / tokens for part, used in usage.spent(before, after).items()}
        memory = usage.resident_mib(self.child.tree)
        return Measurement(seen, by_part, 1000 * client / tokens, self.rest_ms_per_s, memory)

    def _cpu(self) -> usage.CpuSeconds:
        return usage.cpu_seconds(self.child.tree)


def complete_all(address: Address, workload: Workload, requests: int, sessions: int) -> None:
    """Sends `requests` requests, `sessions` at a time, and returns when all responses are complete."""
    _run(_complete_all(address, workload, requests, sessions))


async def _complete_all(address: Address, workload: Workload, requests: int, sessions: int) -> None:
    left = iter(range(requests))

    async def session() -> None:
        for _ in left:
            await address.complete(workload, workload.new_tokens, asyncio.Event())

    async with asyncio.TaskGroup() as group:
        for _ in range(sessions):
            group.create_task(session())


def _run(work: Coroutine[Any, Any, _Returned]) -> _Returned:
    """Runs `work` to its end; of several failures it raises the first."""
    try:
        return asyncio.run(work)
    except ExceptionGroup as group:
        first: Exception = group
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise first from None


class _Session:
    """One client that sends a request as soon as the last response is complete."""

    def __init__(self, address: Address, workload: Workload, first_length: int) -> None:
        self._address = address
        self._workload = workload
        self._new_tokens = first_length
        self.begun = asyncio.Event()
        self.recordings: list[Recording] = []

    async def run(self) -> None:
        while True:
            recording = Recording(time.perf_counter(), self.begun, dialect=self._address.dialect)
            self.recordings.append(recording)
            await self._address.record(self._workload, self._new_tokens, recording)
            self._new_tokens = self._workload.new_tokens


async def _all_begun(sessions: Sequence[_Session]) -> None:
    async with asyncio.timeout(_START_TIMEOUT_S):
        for session in sessions:
            await session.begun.wait()
