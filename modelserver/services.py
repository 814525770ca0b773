"""The gRPC services PredictionService and ModelService."""

import threading
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import grpc

from contract import tensors
from contract.stubs import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from modelserver import predict
from modelserver.errors import StatusError, invalid
from modelserver.manager import Manager
from modelserver.model import VersionStatus

SIGNATURE_DEF = "signature_def"
"""The only metadata field that GetModelMetadata returns."""

T = TypeVar("T")


class CallLimit:
    """Runs at most `limit` calls at the same time and refuses further ones, as the real server does."""

    def __init__(self, limit: int) -> None:
        assert limit > 0, f"a limit of {limit} calls"
        self._free = threading.Semaphore(limit)

    def answer(self, context: grpc.ServicerContext, call: Callable[[], T]) -> T:
        """Returns the result of `call`, or ends the RPC with its StatusError."""
        if not self._free.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
        try:
            return call()
        except StatusError as error:
            context.abort(error.code, error.sent_message)
        finally:
            self._free.release()


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Predict and GetModelMetadata. The other methods only check the request, and are UNIMPLEMENTED."""

    def __init__(self, manager: Manager, limit: CallLimit, *, tensor_content: bool) -> None:
        self._manager = manager
        self._limit = limit
        self._write = tensors.write_content if tensor_content else tensors.write_typed

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Runs a signature of a loaded version."""
        return self._limit.answer(context, lambda: self._predict(request, context.time_remaining()))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Returns the SignatureDefs of a loaded version."""
        return self._limit.answer(context, lambda: self._metadata(request))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Is UNIMPLEMENTED."""
        return self._limit.answer(context, lambda: _not_served("Classify", request))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Is UNIMPLEMENTED."""
        return self._limit.answer(context, lambda: _not_served("Regress", request))

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Is UNIMPLEMENTED."""
        return self._limit.answer(context, lambda: _multi_inference(request))

    def _predict(self, request: Any, seconds: float | None) -> Any:
        _check_spec(request)
        with self._manager.lend(request.model_spec) as (servable, version):
            name = request.model_spec.signature_name or predict.DEFAULT_SIGNATURE
            run = predict.check(request, predict.find_signature(name, servable.signatures))
            arrays = servable.run(run.feeds, list(run.fetches.values()), seconds)
        response = predict_pb2.PredictResponse()
        _describe(response.model_spec, request.model_spec.name, version, name)
        for alias, array in zip(run.fetches, arrays, strict=True):
            self._write(array, response.outputs[alias])
        return response

    def _metadata(self, request: Any) -> Any:
        _check_spec(request)
        _check_fields(request.metadata_field)
        with self._manager.lend(request.model_spec) as (servable, version):
            signatures = servable.signature_defs
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _describe(response.model_spec, request.model_spec.name, version, "")
        described = get_model_metadata_pb2.SignatureDefMap(signature_def=signatures)
        response.metadata[SIGNATURE_DEF].Pack(described)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    """GetModelStatus. HandleReloadConfigRequest is UNIMPLEMENTED."""

    def __init__(self, manager: Manager, limit: CallLimit) -> None:
        self._manager = manager
        self._limit = limit

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Returns the state of every version of a model, or of one version."""
        return self._limit.answer(context, lambda: self._status(request))

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        """Is UNIMPLEMENTED."""
        del request
        return self._limit.answer(context, _no_reload)

    def _status(self, request: Any) -> Any:
        _check_spec(request)
        spec = request.model_spec
        number = spec.version.value if spec.HasField("version") else None
        response = get_model_status_pb2.GetModelStatusResponse()
        for status in self._manager.statuses(spec.name, number):
            _report(response.model_version_status.add(), status)
        return response


def _check_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def _check_fields(fields: Any) -> None:
    if not fields:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for name in fields:
        if name != SIGNATURE_DEF:
            raise invalid(f"Metadata field {name} is not supported")


def _describe(spec: Any, name: str, version: int, signature: str) -> None:
    spec.name = name
    spec.version.value = version
    spec.signature_name = signature


def _report(proto: Any, status: VersionStatus) -> None:
    proto.version = status.number
    proto.state = status.state
    proto.status.SetInParent()
    if status.error is not None:
        proto.status.error_code = status.error.code.value[0]
        proto.status.error_message = status.error.message


def _not_served(method: str, request: Any) -> NoReturn:
    _check_spec(request)
    raise StatusError(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served here; use Predict")


def _no_reload() -> NoReturn:
    raise StatusError(grpc.StatusCode.UNIMPLEMENTED, "the configuration is read once, at the start")


def _multi_inference(request: Any) -> NoReturn:
    if not any(task.model_spec.name for task in request.tasks):
        raise invalid("ModelSpec has no name specified.")
    raise StatusError(grpc.StatusCode.UNIMPLEMENTED, "MultiInference is not served here; use Predict")
