"""The loops that tutorials write by hand against a model server: one session, one token per call, float32.

Either the whole state goes to the server and comes back with every call, and what grows is concatenated here;
the prompt goes in one call. Or there is no state, and every call has the whole text so far. Uses the contract
and the official stubs only.
"""

import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import grpc
import numpy as np

from bench.engines.contender import Contender, ContenderKind, Measure, Setup
from bench.engines.tensorloom import model_server_environment, target_of
from bench.latency import Chunk, Measurement, Trace, Window, latencies
from bench.processes import running
from bench.random_model.servables import EXPLICIT_F32
from bench.target import Target
from bench.workload import Workload
from contract import names
from contract.manifest import Manifest
from contract.stubs import predict_pb2, prediction_service_pb2_grpc
from contract.tensors import Array, from_proto, to_proto

_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_TIMEOUT_S = 60.0

Generate = Callable[[Sequence[int], int], Iterator[int]]
"""Yields so many token ids after a prompt."""


class NaiveLoop:
    """Greedy generation over one channel to a model server."""

    def __init__(self, channel: grpc.Channel, model: str) -> None:
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._model = model
        answer = self._predict(names.MANIFEST_SIGNATURE, {})
        self.manifest = Manifest.from_json(answer[names.MANIFEST].item())

    def generate(self, prompt: Sequence[int], count: int) -> Iterator[int]:
        """Yields `count` token ids, each as soon as it is known."""
        tokens, state = list(prompt), self._fresh()
        for _ in range(count):
            answer = self._predict(names.STEP_SIGNATURE, {**_step_inputs(tokens), **state})
            state = self._next(state, answer)
            tokens = [int(np.argmax(answer[names.LOGITS][0]))]
            yield tokens[0]

    def generate_without_state(self, prompt: Sequence[int], count: int) -> Iterator[int]:
        """Yields the same token ids, computed without a state."""
        tokens = list(prompt)
        for _ in range(count):
            answer = self._predict(names.STEP_SIGNATURE, {**_step_inputs(tokens), **self._fresh()})
            tokens.append(int(np.argmax(answer[names.LOGITS][0])))
            yield tokens[-1]

    def _fresh(self) -> dict[str, Array]:
        return {t.name: np.full((1, *t.shape), t.initial, t.numpy_dtype) for t in self.manifest.state}

    def _next(self, state: dict[str, Array], answer: dict[str, Array]) -> dict[str, Array]:
        """Returns the next call's state: growing tensors have the answer appended, others are replaced."""
        following = {}
        for tensor in self.manifest.state:
            new = answer[tensor.name]
            if tensor.growth_axis is not None:
                new = np.concatenate([state[tensor.name], new], axis=tensor.growth_axis + 1)
            following[tensor.name] = new
        return following

    def _predict(self, signature: str, inputs: dict[str, Array]) -> dict[str, Array]:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        for name, array in inputs.items():
            request.inputs[name].CopyFrom(to_proto(array))
        response = self._stub.Predict(request, timeout=_TIMEOUT_S)
        return {name: from_proto(proto) for name, proto in response.outputs.items()}


@contextlib.contextmanager
def looping(setup: Setup, chosen: Target) -> Iterator[NaiveLoop]:
    """Starts a model server like the application's own, and connects a loop to it."""
    environment = model_server_environment(setup)
    with tempfile.TemporaryDirectory(prefix="tl-", dir="/tmp") as directory:
        socket = Path(directory) / "s"
        log = setup.logs / "naive-modelserver.log"
        with (
            running(chosen.model_server(socket), log, environment) as server,
            grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS) as channel,
        ):
            try:  # the server loads its model before it listens
                grpc.channel_ready_future(channel).result(timeout=setup.start_timeout_s)
            except grpc.FutureTimeoutError:
                raise TimeoutError(f"{server.name} did not answer in time:\n{server.log}") from None
            yield NaiveLoop(channel, chosen.baseline)


def measured(generate: Generate) -> Measure:
    """Returns the measurement of a loop's one session, whose prompts differ in every call."""
    list(generate([0], 2))  # the server's first calls take longer
    numbers = itertools.count(step=1000)
    return lambda workload, _, seconds: measure(generate, workload, next(numbers), seconds)


def measure(generate: Generate, workload: Workload, first_number: int, seconds: float) -> Measurement:
    """Measures generations back to back for `seconds`, but one answer at least; the last one is abandoned.

    One answer at least, since tokens take longer the more there are before them.
    """
    traces: list[Trace] = []
    tokens, start = 0, time.perf_counter()
    now, end = start, start + seconds
    while now < end or tokens < workload.new_tokens:
        sent, chunks = time.perf_counter(), []
        for _ in generate(workload.prompt(first_number + len(traces)), workload.new_tokens):
            now, tokens = time.perf_counter(), tokens + 1
            chunks.append(Chunk(now, 1))
            if now >= end and tokens >= workload.new_tokens:
                break
        traces.append(Trace(sent, tuple(chunks)))
    # The last token arrives at the moment at which the window ends.
    return Measurement(latencies(traces, Window(start, now + 1e-9)), {}, 0.0)


def _step_inputs(tokens: list[int]) -> dict[str, Array]:
    return {names.TOKENS: np.array([tokens], np.int32), names.LENGTHS: np.array([len(tokens)], np.int32)}


@contextlib.contextmanager
def _started(setup: Setup, way: Callable[[NaiveLoop], Generate]) -> Iterator[Measure]:
    with looping(setup, target_of(EXPLICIT_F32)(setup)) as loop:
        yield measured(way(loop))


def _contender(name: str, title: str, way: Callable[[NaiveLoop], Generate]) -> Contender:
    started = partial(_started, way=way)
    prepare = target_of(EXPLICIT_F32)
    return Contender(name, f"naive loop, {title}", ContenderKind.NAIVE, prepare, started, most_sessions=1)


STATE = _contender("naive", "state to and fro, f32", lambda loop: loop.generate)
PREFIX = _contender("naive-prefix", "whole prefix anew, f32", lambda loop: loop.generate_without_state)
