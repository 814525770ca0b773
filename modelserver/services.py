"""The gRPC services: requests in, responses out, errors as codes and messages. Knows no files or sessions."""

from typing import Any, NoReturn

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
from modelserver.calls import Gate
from modelserver.errors import Status, invalid
from modelserver.manager import Manager
from modelserver.model import VersionStatus

SIGNATURE_DEF = "signature_def"


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Predict and GetModelMetadata; the other methods check as far as the recordings show."""

    def __init__(self, manager: Manager, gate: Gate, *, tensor_content: bool) -> None:
        self._manager = manager
        self._gate = gate
        self._write = tensors.write_content if tensor_content else tensors.write_typed

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._gate.answer(context, lambda: self._predict(request, context.time_remaining()))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._gate.answer(context, lambda: self._metadata(request))

    def Classify(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._gate.answer(context, lambda: _not_served("Classify", request))

    def Regress(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._gate.answer(context, lambda: _not_served("Regress", request))

    def MultiInference(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._gate.answer(context, lambda: _multi_inference(request))

    def _predict(self, request: Any, seconds: float | None) -> Any:
        _check_spec(request)
        with self._manager.lend(request.model_spec) as (servable, version):
            name = request.model_spec.signature_name or predict.DEFAULT_SIGNATURE
            run = predict.check(request, predict.signature_of(name, servable.signatures))
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
    """GetModelStatus."""

    def __init__(self, manager: Manager, gate: Gate) -> None:
        self._manager = manager
        self._gate = gate

    def GetModelStatus(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        return self._gate.answer(context, lambda: self._status(request))

    def HandleReloadConfigRequest(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        del request
        return self._gate.answer(context, _no_reload)

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
    raise Status(grpc.StatusCode.UNIMPLEMENTED, f"{method} is not served here; use Predict")


def _no_reload() -> NoReturn:
    raise Status(grpc.StatusCode.UNIMPLEMENTED, "the configuration is read once, at the start")


def _multi_inference(request: Any) -> NoReturn:
    if not any(task.model_spec.name for task in request.tasks):
        raise invalid("ModelSpec has no name specified.")
    raise Status(grpc.StatusCode.UNIMPLEMENTED, "MultiInference is not served here; use Predict")
