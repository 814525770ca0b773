"""A library that runs in a process of its own environment, asked over a pipe."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import cpu
from bench.engines.engine import Measure
from bench.latency import Latencies
from bench.pipes import ask, read_line
from bench.processes import Child, running
from bench.rounds import HttpFigures
from bench.spread import Spread
from bench.workload import Workload

_START_TIMEOUT_S = 300.0
_ANSWER_TIMEOUT_S = 400.0


@contextlib.contextmanager
def working(command: Sequence[str], log: Path, env: Mapping[str, str]) -> Iterator[Measure]:
    with running(command, log, env, pipes=True) as child:
        read_line(child, _START_TIMEOUT_S)
        yield lambda workload, sessions, seconds: _measure(child, workload, sessions, seconds)


def _measure(child: Child, workload: Workload, sessions: int, seconds: float) -> HttpFigures:
    question = {"workload": asdict(workload), "sessions": sessions, "seconds": seconds}
    before = cpu.read(child.tree)
    seen = _latencies(json.loads(ask(child, json.dumps(question).encode(), seconds + _ANSWER_TIMEOUT_S)))
    spent = sum(cpu.spent(before, cpu.read(child.tree)).values())
    return HttpFigures(seen, {"process": 1000 * spent / max(1, seen.tokens)}, 0.0)


def _latencies(answer: dict[str, Any]) -> Latencies:
    spreads = ("first_token_ms", "inter_token_ms", "pause_ms")
    return Latencies(**answer | {name: Spread(**answer[name]) for name in spreads})
