"""`python -m bench.raw_step SERVABLE PAST INTRA INTER`: TensorFlow alone, in one process.

Reads "BATCH SECONDS" lines and answers each with JSON: calls of the `step` signature one after the other,
one token per row, each row with PAST tokens in its state, which stays in the process. Nothing is sampled,
appended or sent. INTRA and INTER are TensorFlow's threads, 0 for its own choice.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import tensorflow as tf

from bench.spread import Spread
from contract import names
from contract.manifest import Manifest

_FEWEST_CALLS = 3


class RawStep:
    """A loaded servable, and the state of batches that have been run."""

    def __init__(self, servable: str, past: int) -> None:
        self._signatures = tf.saved_model.load(servable).signatures
        self._past = past
        manifest = self._signatures[names.MANIFEST_SIGNATURE]()[names.MANIFEST].numpy()
        self._manifest = Manifest.from_json(manifest)
        self._inputs: dict[int, dict[str, Any]] = {}

    def measure(self, batch: int, seconds: float) -> dict[str, Any]:
        """Milliseconds per step within `seconds`, the first call not counted."""
        inputs = self._inputs_of(batch)
        step = self._signatures[names.STEP_SIGNATURE]
        step(**inputs)
        times: list[float] = []
        end = time.perf_counter() + seconds
        while len(times) < _FEWEST_CALLS or time.perf_counter() < end:
            start = time.perf_counter()
            step(**inputs)
            times.append(1000 * (time.perf_counter() - start))
        spread = Spread.of(times)
        return {"batch": batch, "calls": len(times), "p50": spread.p50, "p99": spread.p99}

    def _inputs_of(self, batch: int) -> dict[str, Any]:
        if batch not in self._inputs:
            self._inputs[batch] = self._prefilled(batch)
        return self._inputs[batch]

    def _prefilled(self, batch: int) -> dict[str, Any]:
        """A step's inputs as they are after PAST tokens in every row."""
        empty = {
            t.name: tf.constant(np.full((batch, *t.shape), t.initial, t.numpy_dtype))
            for t in self._manifest.state
        }
        answer = self._signatures[names.STEP_SIGNATURE](**_tokens(batch, self._past), **empty)
        return _tokens(batch, 1) | {t.name: answer[t.name] for t in self._manifest.state}


def _tokens(batch: int, count: int) -> dict[str, Any]:
    return {
        names.TOKENS: tf.ones([batch, count], tf.int32),
        names.LENGTHS: tf.fill([batch], count),
    }


def main(servable: str, past: str, intra: str, inter: str) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(int(intra))
    tf.config.threading.set_inter_op_parallelism_threads(int(inter))
    raw = RawStep(servable, int(past))
    print("ready", flush=True)
    for line in sys.stdin:
        batch, seconds = line.split()
        print(json.dumps(raw.measure(int(batch), float(seconds))), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
