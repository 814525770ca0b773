"""`python -m bench.raw SERVABLE INTRA INTER`: TensorFlow alone, in one process.

Reads questions, one JSON object a line, and answers each with JSON: calls one after the other, one token per
row, on a state that stays in the process. Nothing is sent. INTRA and INTER are TensorFlow's threads, 0 for
its own choice.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf

from bench.raw.explicit import ExplicitSteps
from bench.raw.question import Question
from bench.raw.resident import ResidentSteps
from bench.spread import Spread
from contract import names
from contract.manifest import EXPLICIT, Manifest

_FEWEST_CALLS = 3
_PREFILLS = 3


class Steps(Protocol):
    """A loaded servable of one layout."""

    def decode(self, batch: int, past: int, slots: int) -> Callable[[], object]:
        """One step, to be called any number of times."""
        ...

    def prefill(self, batch: int, tokens: int, slots: int) -> Callable[[], object]:
        """One call with `tokens` new tokens in every row."""
        ...


def answer(steps: Steps, question: Question) -> dict[str, Any]:
    """Milliseconds of calls, the first of each kind not counted."""
    slots = max(question.slots, question.batch)
    prefill = None
    if question.prompt:
        prefill = Spread.of(_times(steps.prefill(question.batch, question.prompt, slots), 0, _PREFILLS)).p50
    times = _times(steps.decode(question.batch, question.past, slots), question.seconds, _FEWEST_CALLS)
    spread = Spread.of(times)
    return {"calls": len(times), "p50": spread.p50, "p99": spread.p99, "prefill_ms": prefill}


def _times(call: Callable[[], object], seconds: float, fewest: int) -> list[float]:
    call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < fewest or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return times


def _load(servable: str, intra: int, inter: int) -> Steps:
    tf.config.threading.set_intra_op_parallelism_threads(intra)
    tf.config.threading.set_inter_op_parallelism_threads(inter)
    if _manifest(servable).state_layout == EXPLICIT:
        return ExplicitSteps(servable)
    return ResidentSteps(servable, intra, inter)


def _manifest(servable: str) -> Manifest:
    signature = tf.saved_model.load(servable).signatures[names.MANIFEST_SIGNATURE]
    return Manifest.from_json(signature()[names.MANIFEST].numpy())


def main(servable: str, intra: str, inter: str) -> None:
    steps = _load(servable, int(intra), int(inter))
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(steps, Question(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
