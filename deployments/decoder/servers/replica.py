"""One model server over gRPC: its status, its manifest, its Predict. Knows nothing of the others."""

import grpc

from contract import names
from contract.errors import ContractError
from contract.manifest import Manifest
from contract.stubs import get_model_status_pb2, model_service_pb2_grpc, predict_pb2, prediction_service_pb2
from contract.tensors import Array, from_proto
from contract.wire import predict_request
from deployments.messages import ServableDescription, ServableId

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A DNS name stands for all its addresses; they share the calls.
    ("grpc.lb_policy_name", "round_robin"),
    # A restarted server is back within seconds; the default backoff grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_SERVICE = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
_PREDICT = f"/{_SERVICE.full_name}/{_SERVICE.methods_by_name['Predict'].name}"
_AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


class Replica:
    """A channel to one target; `model` is the model's name there."""

    def __init__(self, target: str, model: str) -> None:
        self.target = target
        self.model = model
        self.calls = 0
        """Steps that are under way."""
        self._channel = grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS)
        # As the stub's own, but for requests that are bytes already.
        self._predict = self._channel.unary_unary(
            _PREDICT,
            request_serializer=None,
            response_deserializer=predict_pb2.PredictResponse.FromString,
        )
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    async def versions(self, timeout_s: float) -> list[int]:
        """The versions that are loaded, highest first; waits for the server to listen."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self.model
        response = await self._models.GetModelStatus(request, timeout=timeout_s, wait_for_ready=True)
        loaded = [s.version for s in response.model_version_status if s.state == _AVAILABLE]
        return sorted(loaded, reverse=True)

    async def servable(self, version: int, name: str, timeout_s: float) -> ServableDescription:
        """What version `version` says of itself; `name` is what the model is called here."""
        request = predict_request(self.model, version, names.MANIFEST_SIGNATURE, {})
        response = await self.predict(request, timeout_s)
        manifest, tokenizer = (response.get(key) for key in (names.MANIFEST, names.TOKENIZER))
        if manifest is None or tokenizer is None:
            raise ContractError(f"{self.model} version {version} hands over no manifest and tokenizer")
        return ServableDescription(
            ServableId(name, version), Manifest.from_json(manifest.item()), tokenizer.item()
        )

    async def predict(self, request: bytes, timeout_s: float) -> dict[str, Array]:
        """The outputs of one call, a serialized PredictRequest; grpc.aio.AioRpcError where it fails."""
        response = await self._predict(request, timeout=timeout_s)
        return {name: from_proto(proto) for name, proto in response.outputs.items()}

    async def close(self) -> None:
        await self._channel.close(grace=None)
