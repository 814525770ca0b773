"""Concurrent sessions over HTTP, each with its requests back to back, measured in a window of fixed length.

The window opens once every session has its first text, so it sees none of the burst at the start; sessions'
first requests have different lengths, so that later ones do not begin together either. When the window
closes, what is under way is abandoned.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bench.dialects import Dialect
from bench.latency import Latencies, Window, latencies
from bench.streaming import OWN, Recording, complete, trace
from bench.workload import Workload

Reading = TypeVar("Reading")
Result = TypeVar("Result")
Beside = Callable[[], Coroutine[Any, Any, None]]

_NUMBERS = itertools.count()
"""Of requests: each has a prompt of its own."""


@dataclass(frozen=True)
class Address:
    """A server, and how it is spoken to."""

    host: str
    port: int
    dialect: Dialect = OWN

    async def complete(self, workload: Workload, new_tokens: int, begun: asyncio.Event) -> Recording:
        """One request to its end."""
        recording = Recording(time.perf_counter(), begun, dialect=self.dialect)
        await self.record(workload, new_tokens, recording)
        return recording

    async def record(self, workload: Workload, new_tokens: int, recording: Recording) -> None:
        """One request; ResponseError where the answer is not what was asked for."""
        body = self.dialect.body(workload, next(_NUMBERS), new_tokens)
        recording.sent = time.perf_counter()
        await complete(self.host, self.port, body, recording)
        if not recording.whole:
            trace(recording)  # raises what the server said


@dataclass(frozen=True)
class Measured(Generic[Reading]):
    """A window's figures, with the meter's readings at its ends."""

    latencies: Latencies
    client_cpu_s: float
    before: Reading
    after: Reading


class LoadGenerator(Generic[Reading]):
    """Sessions against one address; `meter` is read as the window opens and as it closes."""

    def __init__(self, address: Address, workload: Workload, meter: Callable[[], Reading]) -> None:
        self._address = address
        self._workload = workload
        self._meter = meter

    def measure(
        self, sessions: int, seconds: float, start_timeout_s: float, beside: Beside | None = None
    ) -> Measured[Reading]:
        """Figures of `sessions` at a time; ResponseError where an answer is not what was asked for.

        What `beside` does goes on while the window is open, and is in no figure.
        """
        return _run(self._measure(sessions, seconds, start_timeout_s, beside))

    async def _measure(
        self, count: int, seconds: float, start_timeout_s: float, beside: Beside | None
    ) -> Measured[Reading]:
        sessions = [
            _Session(self._address, self._workload, self._workload.first_length(i, count))
            for i in range(count)
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(session.run()) for session in sessions]
            await _all_begun(sessions, start_timeout_s)
            tasks += [group.create_task(beside())] if beside else []
            before, cpu, start = self._meter(), time.process_time(), time.perf_counter()
            await asyncio.sleep(seconds)
            end, used, after = time.perf_counter(), time.process_time() - cpu, self._meter()
            for task in tasks:
                task.cancel()
        traces = [trace(recording) for session in sessions for recording in session.recordings]
        return Measured(latencies(traces, Window(start, end)), used, before, after)


def complete_all(address: Address, workload: Workload, requests: int, sessions: int) -> None:
    """Ask for `requests` answers, `sessions` at a time, and return when all are there."""
    _run(_complete_all(address, workload, requests, sessions))


async def _complete_all(address: Address, workload: Workload, requests: int, sessions: int) -> None:
    left = iter(range(requests))

    async def session() -> None:
        for _ in left:
            await address.complete(workload, workload.new_tokens, asyncio.Event())

    async with asyncio.TaskGroup() as group:
        for _ in range(sessions):
            group.create_task(session())


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    """`work` to its end; of several failures the first."""
    try:
        return asyncio.run(work)
    except ExceptionGroup as group:
        first: Exception = group
        while isinstance(first, ExceptionGroup):
            first = first.exceptions[0]
        raise first from None


class _Session:
    """One client that sends a request as soon as the last one is answered."""

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


async def _all_begun(sessions: Sequence[_Session], timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        for session in sessions:
            await session.begun.wait()
