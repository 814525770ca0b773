"""A small gRPC client of a model server, for tests, with numpy arrays."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np

from contract.stubs import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from contract.tensors import Array, from_proto, to_proto
from tests.servers import ModelServer

SECONDS = 60.0
"""A deadline that only a hang exceeds."""

STATES = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}


class Client:
    """A client of one server, over one channel."""

    def __init__(self, server: ModelServer) -> None:
        self._channel = server.channel()
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._channel.close()

    @property
    def channel(self) -> grpc.Channel:
        return self._channel

    def predict(self, request: Any, seconds: float = SECONDS) -> dict[str, Array]:
        response = self.prediction.Predict(request, timeout=seconds)
        return {alias: from_proto(proto) for alias, proto in response.outputs.items()}

    def begin(self, request: Any, seconds: float = SECONDS) -> Any:
        """Starts a Predict call and returns its future."""
        return self.prediction.Predict.future(request, timeout=seconds)

    def states(self, name: str) -> dict[int, str]:
        """Returns version -> state."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        response = self.models.GetModelStatus(request, timeout=SECONDS)
        return {status.version: STATES[status.state] for status in response.model_version_status}


def request(
    name: str, signature: str = "", version: int | None = None, **inputs: Array | float | int
) -> predict_pb2.PredictRequest:
    """Builds a PredictRequest; Python numbers become int64 or float32 scalars."""
    message = predict_pb2.PredictRequest()
    message.model_spec.name = name
    message.model_spec.signature_name = signature
    if version is not None:
        message.model_spec.version.value = version
    for alias, value in inputs.items():
        message.inputs[alias].CopyFrom(to_proto(_array(value)))
    return message


def waiting(name: str, path: Path) -> predict_pb2.PredictRequest:
    """Builds a request to the `waiting` model that runs until there is a file at `path`."""
    return request(name, "wait", path=np.array(str(path).encode(), dtype=object))


def _array(value: Array | float | int) -> Array:
    if isinstance(value, float):
        return np.array(value, np.float32)
    return np.asarray(value)
