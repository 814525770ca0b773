"""The child that runs TensorFlow's step alone, asked from here. Knows its lines, not TensorFlow."""

import json
import selectors
import sys
from dataclasses import dataclass
from typing import IO

from bench.processes import Child
from bench.settings import Settings
from bench.spread import Spread


@dataclass(frozen=True)
class RawFigures:
    """Steps of one batch; milliseconds."""

    tokens_per_s: float
    step_ms: Spread
    calls: int


def command(settings: Settings, past: int) -> list[str]:
    intra, inter = settings.threads
    arguments = [str(settings.servable), str(past), str(intra), str(inter)]
    return [sys.executable, "-m", "bench.raw_step", *arguments]


def wait_until_ready(child: Child, timeout_s: float) -> None:
    _line(child, timeout_s)


def measure(child: Child, batch: int, seconds: float, timeout_s: float) -> RawFigures:
    stdin: IO[bytes] | None = child.process.stdin
    assert stdin is not None
    stdin.write(f"{batch} {seconds}\n".encode())
    stdin.flush()
    answer = json.loads(_line(child, timeout_s))
    step = Spread(answer["p50"], answer["p99"])
    return RawFigures(1000 * batch / answer["p50"], step, answer["calls"])


def _line(child: Child, timeout_s: float) -> bytes:
    """The child's next line; ProcessEnded or TimeoutError where none comes."""
    stdout = child.process.stdout
    assert stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        if not selector.select(timeout_s):
            raise TimeoutError(f"{child.name} gave no answer within {timeout_s:.0f} s:\n{child.log}")
    line: bytes = stdout.readline()
    if not line:
        child.process.wait()
        child.check()
    return line
