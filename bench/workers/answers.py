"""A worker's side of its pipe: questions arrive as lines of JSON, latencies go back.

A library that takes a batch of prompts and returns all answers is measured with batches back to back, of
which only whole ones count.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from typing import Any, TextIO

from bench.latency import Chunk, Latencies, Trace, Window, latencies
from bench.workload import Workload

Arrived = Callable[[], None]
Generate = Callable[[Sequence[Sequence[int]], int, Arrived], None]
"""Takes prompts of one length and a number of new tokens; calls the third once per step, where it can."""


@dataclass(frozen=True)
class LoadQuestion:
    """Asks a library for the latencies of `sessions` at a time."""

    workload: Workload
    sessions: int
    seconds: float


@dataclass(frozen=True)
class StepQuestion:
    """Asks for the time of a raw step of `batch` rows."""

    batch: int
    past: int
    """Tokens that each row's state holds."""
    seconds: float
    prompt: int = 0
    """Tokens of a prefill, of all rows in one call, that is also timed; 0: none."""
    slots: int = 0
    """Slots of the pool, in the resident layout; 0: as many as rows."""


@dataclass(frozen=True)
class Answer:
    """What a worker measured."""

    latencies: Latencies
    cpu_ms: float
    """CPU time of this process while the tokens of `latencies` were made."""


def serve(answer: Callable[[dict[str, Any]], Answer], out: TextIO) -> None:
    """Answers questions until the pipe ends."""
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(asdict(answer(json.loads(line)))), file=out, flush=True)


def serve_load(measure: Callable[[LoadQuestion], Answer], out: TextIO) -> None:
    """Answers load questions until the pipe ends."""

    def answer(asked: dict[str, Any]) -> Answer:
        return measure(LoadQuestion(Workload(**asked["workload"]), asked["sessions"], asked["seconds"]))

    serve(answer, out)


def own_output() -> TextIO:
    """Returns the pipe, and sends what libraries print on stdout to stderr from now on."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return out


def prompts(workload: Workload) -> Iterator[list[int]]:
    """Yields prompts without end, all different."""
    return (list(workload.prompt(number)) for number in count())


def measure_batches(generate: Generate, question: LoadQuestion) -> Answer:
    """Measures whole batches back to back until the seconds are over."""
    supply, traces = prompts(question.workload), []
    cpu = time.process_time()
    start = end = time.perf_counter()
    while end - start < question.seconds:
        batch, new_tokens = list(islice(supply, question.sessions)), question.workload.new_tokens
        times: list[float] = []
        generate(batch, new_tokens, lambda: times.append(time.perf_counter()))  # noqa: B023
        sent, end = end, time.perf_counter()
        traces += [_trace(sent, times, end, new_tokens)] * question.sessions
    # The last chunk arrives at the moment at which the window ends.
    return Answer(latencies(traces, Window(start, end + 1e-9)), 1000 * (time.process_time() - cpu))


def _trace(sent: float, times: Sequence[float], end: float, new_tokens: int) -> Trace:
    """Returns one row's trace; where no step was reported, all tokens arrive at the end."""
    if not times:
        return Trace(sent, (Chunk(end, new_tokens),))
    return Trace(sent, tuple(Chunk(time, 1) for time in times[:new_tokens]))
