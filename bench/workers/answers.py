"""A worker's side of its pipe: questions come as lines of JSON, figures go back."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TextIO

from bench.latency import Latencies
from bench.workload import Workload


@dataclass(frozen=True)
class Question:
    workload: Workload
    sessions: int
    seconds: float


def serve(measure: Callable[[Question], Latencies], out: TextIO) -> None:
    """Answer until the pipe ends."""
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        question = Question(Workload(**asked["workload"]), asked["sessions"], asked["seconds"])
        print(json.dumps(asdict(measure(question))), file=out, flush=True)


def own_output() -> TextIO:
    """The pipe; what libraries print goes to stderr from now on."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return out


def prompts(workload: Workload) -> Iterator[list[int]]:
    """One after the other, all different."""
    number = 0
    while True:
        yield list(workload.prompt(number))
        number += 1
