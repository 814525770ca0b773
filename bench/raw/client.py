"""The child that runs TensorFlow's step alone, asked from here. Knows its lines, not TensorFlow."""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.pipes import ask, read_line
from bench.processes import Child
from bench.raw.question import Question
from bench.spread import Spread


@dataclass(frozen=True)
class RawFigures:
    """Calls of one batch; milliseconds."""

    tokens_per_s: float
    """Of decoding alone."""
    step_ms: Spread
    calls: int
    prefill_ms: float | None = None
    """One call with the tokens that the state holds; None where it was not asked for."""

    def generation_tokens_per_s(self, batch: int, new_tokens: int) -> float | None:
        """With the prompts' prefill, as serving has it: whole answers of `new_tokens`."""
        if self.prefill_ms is None or self.step_ms.p50 is None:
            return None
        return 1000 * batch * new_tokens / (self.prefill_ms + (new_tokens - 1) * self.step_ms.p50)


def command(servable: Path, threads: tuple[int, int]) -> list[str]:
    intra, inter = threads
    return [sys.executable, "-m", "bench.raw", str(servable), str(intra), str(inter)]


def wait_until_ready(child: Child, timeout_s: float) -> None:
    read_line(child, timeout_s)


def measure(child: Child, question: Question, timeout_s: float) -> RawFigures:
    answer = json.loads(ask(child, json.dumps(asdict(question)).encode(), timeout_s))
    step = Spread(answer["p50"], answer["p99"])
    return RawFigures(1000 * question.batch / answer["p50"], step, answer["calls"], answer["prefill_ms"])
