"""The loop that tutorials write by hand against a model server: one session at a time, one token per call.

The whole state goes to the server and comes back with every call; what grows is concatenated here. The prompt
goes in one call. Or, simpler still, there is no state, and every call has the whole text so far. Knows the
contract and the official stubs, and nothing of the application.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import grpc
import numpy as np

from bench.spread import Spread
from bench.workload import Workload
from contract import names
from contract.manifest import Manifest
from contract.stubs import predict_pb2, prediction_service_pb2_grpc
from contract.tensors import Array, from_proto, to_proto

OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
_TIMEOUT_S = 60.0

Generate = Callable[[Sequence[int], int], Iterator[int]]
"""From a prompt and a count to ids."""


class NaiveLoop:
    """Greedy generation over one channel to a model server."""

    def __init__(self, channel: grpc.Channel, model: str) -> None:
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._model = model
        answer = self._predict(names.MANIFEST_SIGNATURE, {})
        self.manifest = Manifest.from_json(answer[names.MANIFEST].item())

    def generate(self, prompt: Sequence[int], count: int) -> Iterator[int]:
        """`count` ids, each as soon as it is known."""
        tokens, state = list(prompt), self._fresh()
        for _ in range(count):
            answer = self._predict(names.STEP_SIGNATURE, {**_step_inputs(tokens), **state})
            state = self._next(state, answer)
            tokens = [int(np.argmax(answer[names.LOGITS][0]))]
            yield tokens[0]

    def generate_anew(self, prompt: Sequence[int], count: int) -> Iterator[int]:
        """The same ids, without a state."""
        tokens = list(prompt)
        for _ in range(count):
            answer = self._predict(names.STEP_SIGNATURE, {**_step_inputs(tokens), **self._fresh()})
            tokens.append(int(np.argmax(answer[names.LOGITS][0])))
            yield tokens[-1]

    def _fresh(self) -> dict[str, Array]:
        return {t.name: np.full((1, *t.shape), t.initial, t.numpy_dtype) for t in self.manifest.state}

    def _next(self, state: dict[str, Array], answer: dict[str, Array]) -> dict[str, Array]:
        """The state that the next call takes: what grows has the answer appended, the rest is replaced."""
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


@dataclass(frozen=True)
class NaiveFigures:
    """What the loop's one session saw; milliseconds."""

    tokens_per_s: float
    first_token_ms: Spread
    inter_token_ms: Spread


def measure(
    generate: Generate, workload: Workload, first_number: int, seconds: float, fewest: int = 1
) -> NaiveFigures:
    """Generations back to back for `seconds`, or until `fewest` tokens; the last one is left where it is."""
    start = time.perf_counter()
    firsts: list[float] = []
    others: list[float] = []
    number = first_number
    over = False
    while not over:
        last, kind = time.perf_counter(), firsts
        for _ in generate(workload.prompt(number), workload.new_tokens):
            now = time.perf_counter()
            kind.append(1000 * (now - last))
            last, kind = now, others
            over = now - start >= seconds and len(firsts) + len(others) >= fewest
            if over:
                break
        number += 1
    tokens_per_s = (len(firsts) + len(others)) / (last - start)
    return NaiveFigures(tokens_per_s, Spread.of(firsts), Spread.of(others))


def _step_inputs(tokens: list[int]) -> dict[str, Array]:
    return {names.TOKENS: np.array([tokens], np.int32), names.LENGTHS: np.array([len(tokens)], np.int32)}
