"""`python -m bench.workers.raw SERVABLE INTRA INTER`: TensorFlow alone, in one process.

Answers each question with latencies of calls one after the other, one token per row, on a state that stays in
the process. INTRA and INTER are TensorFlow's threads within and between operations, 0 for its own choice.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from bench.latency import Latencies
from bench.spread import Spread
from bench.workers.answers import Answer, StepQuestion, own_output, serve
from contract import names
from contract.manifest import EXPLICIT, Manifest

_FEWEST_CALLS = 3
_PREFILLS = 3
_PREFILLING_S = 0.5
_PREFILLED_AT_ONCE = 4
"""Rows per prefill call before a decode: attention over whole prompts takes memory."""


class StepRunner(Protocol):
    """A loaded servable of one layout."""

    def decode(self, batch: int, past: int, slots: int) -> Callable[[], object]:
        """Returns one step, which can be called any number of times."""
        ...

    def prefill(self, batch: int, tokens: int, slots: int) -> Callable[[], object]:
        """Returns one call with `tokens` new tokens in every row."""
        ...


def answer(steps: StepRunner, question: StepQuestion) -> Answer:
    """Measures calls; the first of each kind is not counted. A first token is a whole prefill.

    CPU time is that of the steps.
    """
    slots = max(question.slots, question.batch)
    prefill = None
    if question.prompt:
        call = steps.prefill(question.batch, question.prompt, slots)
        call()
        prefill = Spread.of(_milliseconds(call, _PREFILLING_S, _PREFILLS)).p50
    decode = steps.decode(question.batch, question.past, slots)
    decode()
    cpu = time.process_time()
    times = _milliseconds(decode, question.seconds, _FEWEST_CALLS)
    cpu = time.process_time() - cpu
    step, first = Spread.of(times), Spread(prefill, prefill)
    assert step.p50 is not None
    rate, tokens = 1000 * question.batch / step.p50, len(times) * question.batch
    return Answer(Latencies(tokens, rate, 1.0, first, step, step), 1000 * cpu)


def _milliseconds(call: Callable[[], object], seconds: float, fewest: int) -> list[float]:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < fewest or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return times


class ExplicitSteps:
    """The `step` signature, called with a state that does not change: nothing is sampled or appended."""

    def __init__(self, servable: str) -> None:
        self._signatures = tf.saved_model.load(servable).signatures
        manifest = self._signatures[names.MANIFEST_SIGNATURE]()[names.MANIFEST].numpy()
        self._state = Manifest.from_json(manifest).state
        self._known: tuple[tuple[int, int], dict[str, Any]] | None = None

    def decode(self, batch: int, past: int, slots: int) -> Callable[[], object]:  # noqa: ARG002
        """Returns one step after `past` tokens in every row."""
        inputs = self._inputs(batch, past)
        step = self._signatures[names.STEP_SIGNATURE]
        return lambda: step(**inputs)

    def prefill(self, batch: int, tokens: int, slots: int) -> Callable[[], object]:  # noqa: ARG002
        """Returns one step over `tokens` tokens with the initial state."""
        step, inputs = self._signatures[names.STEP_SIGNATURE], _tokens(batch, tokens) | self._empty(batch)
        return lambda: step(**inputs)

    def _inputs(self, batch: int, past: int) -> dict[str, Any]:
        """Returns the inputs of a step after `past` tokens in every row; the latest ones are cached."""
        if self._known is None or self._known[0] != (batch, past):
            answer = self.prefill(batch, past, batch)()
            assert isinstance(answer, dict)
            inputs = _tokens(batch, 1) | {t.name: answer[t.name] for t in self._state}
            self._known = ((batch, past), inputs)
        return self._known[1]

    def _empty(self, batch: int) -> dict[str, Any]:
        return {
            t.name: tf.constant(np.full((batch, *t.shape), t.initial, t.numpy_dtype)) for t in self._state
        }


def _tokens(batch: int, count: int) -> dict[str, Any]:
    return {
        names.TOKENS: tf.ones([batch, count], tf.int32),
        names.LENGTHS: tf.fill([batch], count),
    }


class ResidentSteps:
    """The signatures of the resident layout, in a session like a model server's; greedy, one step a call."""

    def __init__(self, servable: str, intra: int, inter: int) -> None:
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=intra, inter_op_parallelism_threads=inter
        )
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph, config=config)
        with graph.as_default():
            loaded = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], servable)
        self._signatures = dict(loaded.signature_def)
        manifest = Manifest.from_json(self._call(names.MANIFEST_SIGNATURE, {})()[names.MANIFEST])
        assert manifest.pool is not None
        self._blocks = manifest.pool.blocks
        self._epoch = 0
        self._slots = 0

    def decode(self, batch: int, past: int, slots: int) -> Callable[[], object]:
        """Returns one decode step after `past` tokens in every row."""
        self._claim(slots)
        for first in range(0, batch, _PREFILLED_AT_ONCE):
            self._prefill(range(first, min(batch, first + _PREFILLED_AT_ONCE)), past)()
        return self._call(
            names.DECODE_SIGNATURE,
            self._sampling(batch)
            | {
                names.TOKENS: np.ones(batch, np.int32),
                names.POSITIONS: np.full(batch, past, np.int32),
                names.BUDGET: np.ones(batch, np.int32),
                names.STOP_TOKENS: np.full((batch, 1), -1, np.int32),
            },
        )

    def prefill(self, batch: int, tokens: int, slots: int) -> Callable[[], object]:
        """Returns one prefill of `tokens` tokens in every row."""
        self._claim(slots)
        return self._prefill(range(batch), tokens)

    def _prefill(self, rows: range, tokens: int) -> Callable[[], object]:
        return self._call(
            names.PREFILL_SIGNATURE,
            self._sampling(len(rows))
            | {
                names.TOKENS: np.ones((len(rows), tokens), np.int32),
                names.LENGTHS: np.full(len(rows), tokens, np.int32),
                names.SLOTS: np.array(rows, np.int32),
                names.STARTS: np.zeros(len(rows), np.int32),
                names.LAST_TOKENS: np.zeros(0, np.int32),
                names.POSITIONS: np.zeros(0, np.int32),
            },
        )

    def _claim(self, slots: int) -> None:
        """Claims a pool whose every slot can hold the whole context."""
        if slots != self._slots:
            self._epoch += 1
            self._slots = slots
            feeds = {names.EPOCH: np.int64(self._epoch), names.SLOTS: np.full(self._blocks, slots, np.int32)}
            self._call(names.CLAIM_SIGNATURE, feeds)()

    def _sampling(self, rows: int) -> dict[str, Any]:
        """Returns the sampling inputs of greedy decoding, without any other option."""
        return {
            names.EPOCH: np.int64(self._epoch),
            names.TEMPERATURE: np.zeros(rows, np.float32),
            names.TOP_K: np.zeros(rows, np.int32),
            names.TOP_P: np.ones(rows, np.float32),
            names.MIN_P: np.zeros(rows, np.float32),
            names.UNIFORMS: np.zeros((rows, 1), np.float64),
            names.EDIT_IDS: np.zeros((rows, 0), np.int32),
            names.EDIT_COUNTS: np.zeros((rows, 0), np.int32),
            names.EDIT_BIAS: np.zeros((rows, 0), np.float32),
            names.PRESENCE: np.zeros(rows, np.float32),
            names.FREQUENCY: np.zeros(rows, np.float32),
            names.REPETITION: np.ones(rows, np.float32),
            names.MASK: np.zeros((rows, 0), np.uint8),
            names.LOGPROBS: np.int32(names.NO_LOGPROBS),
        }

    def _call(self, signature: str, feeds: dict[str, Any]) -> Callable[[], Any]:
        """Returns a call of the signature with these inputs, which can be run any number of times."""
        tensors = self._signatures[signature]
        fetches = {name: info.name for name, info in tensors.outputs.items()}
        run = self._session.make_callable(fetches, [tensors.inputs[name].name for name in feeds])
        return lambda: run(*feeds.values())


def _load(servable: str, intra: int, inter: int) -> StepRunner:
    tf.config.threading.set_intra_op_parallelism_threads(intra)
    tf.config.threading.set_inter_op_parallelism_threads(inter)
    signature = tf.saved_model.load(servable).signatures[names.MANIFEST_SIGNATURE]
    if Manifest.from_json(signature()[names.MANIFEST].numpy()).state_layout == EXPLICIT:
        return ExplicitSteps(servable)
    return ResidentSteps(servable, intra, inter)


def main(servable: str, intra: str, inter: str) -> None:
    """Loads the servable and answers questions."""
    out = own_output()
    steps = _load(servable, int(intra), int(inter))
    serve(lambda asked: answer(steps, StepQuestion(**asked)), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
