"""Concurrent sessions over HTTP, each with its requests back to back, measured in a window of fixed length.

The window opens once every session has its first text, so it sees none of the burst at the start; sessions'
first requests have different lengths, so that later ones do not begin together either. When the window
closes, what is under way is abandoned.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bench.latency import Latencies, Window, latencies
from bench.streaming import Recording, complete, trace
from bench.workload import Workload

Reading = TypeVar("Reading")

_NUMBERS = itertools.count()
"""Of requests: each has a prompt of its own."""


@dataclass(frozen=True)
class Measured(Generic[Reading]):
    """A window's figures, with the meter's readings at its ends."""

    latencies: Latencies
    client_cpu_s: float
    before: Reading
    after: Reading


class LoadGenerator(Generic[Reading]):
    """Sessions against one address; `meter` is read as the window opens and as it closes."""

    def __init__(self, host: str, port: int, workload: Workload, meter: Callable[[], Reading]) -> None:
        self._host = host
        self._port = port
        self._workload = workload
        self._meter = meter

    def measure(self, sessions: int, seconds: float, start_timeout_s: float) -> Measured[Reading]:
        """Figures of `sessions` at a time; ResponseError where an answer is not what was asked for."""
        try:
            return asyncio.run(self._measure(sessions, seconds, start_timeout_s))
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def _measure(self, count: int, seconds: float, start_timeout_s: float) -> Measured[Reading]:
        sessions = [
            _Session(self._host, self._port, self._workload, self._workload.first_length(i, count))
            for i in range(count)
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(session.run()) for session in sessions]
            await _all_begun(sessions, start_timeout_s)
            before, cpu, start = self._meter(), time.process_time(), time.perf_counter()
            await asyncio.sleep(seconds)
            end, used, after = time.perf_counter(), time.process_time() - cpu, self._meter()
            for task in tasks:
                task.cancel()
        traces = [trace(recording) for session in sessions for recording in session.recordings]
        return Measured(latencies(traces, Window(start, end)), used, before, after)


class _Session:
    """One client that sends a request as soon as the last one is answered."""

    def __init__(self, host: str, port: int, workload: Workload, first_length: int) -> None:
        self._host = host
        self._port = port
        self._workload = workload
        self._new_tokens = first_length
        self.begun = asyncio.Event()
        self.recordings: list[Recording] = []

    async def run(self) -> None:
        while True:
            body = self._workload.body(next(_NUMBERS), self._new_tokens)
            recording = Recording(time.perf_counter(), self.begun)
            self.recordings.append(recording)
            await complete(self._host, self._port, body, recording)
            if not recording.whole:
                trace(recording)  # raises what the server said
            self._new_tokens = self._workload.new_tokens


async def _all_begun(sessions: Sequence[_Session], timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        for session in sessions:
            await session.begun.wait()
