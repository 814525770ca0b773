"""Measures a library that takes a batch of prompts and gives all answers: batches back to back.

Only whole batches count. Knows no library.
"""

import time
from collections.abc import Callable, Sequence
from itertools import islice

from bench.latency import Chunk, Latencies, Trace, Window, latencies
from bench.workers.answers import Question, prompts

Arrived = Callable[[], None]
Generate = Callable[[Sequence[Sequence[int]], int, Arrived], None]
"""Takes prompts of one length and a count of new tokens; calls the third once a step, where it can."""


def measure(generate: Generate, question: Question) -> Latencies:
    supply, traces = prompts(question.workload), []
    start = end = time.perf_counter()
    while end - start < question.seconds:
        batch, count = list(islice(supply, question.sessions)), question.workload.new_tokens
        times: list[float] = []
        generate(batch, count, lambda: times.append(time.perf_counter()))  # noqa: B023
        sent, end = end, time.perf_counter()
        traces += [_trace(sent, times, end, count)] * question.sessions
    # The last chunk arrives in the moment in which the window ends.
    return latencies(traces, Window(start, end + 1e-9))


def _trace(sent: float, times: Sequence[float], end: float, count: int) -> Trace:
    """One row's; all tokens at the end where the steps were not told."""
    if not times:
        return Trace(sent, (Chunk(end, count),))
    return Trace(sent, tuple(Chunk(time, 1) for time in times[:count]))
