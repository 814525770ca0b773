"""One model server over gRPC: its loaded versions, its manifest and its Predict method."""

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
    # Calls are spread over all addresses of a DNS name.
    ("grpc.lb_policy_name", "round_robin"),
    # A restarted server is back within seconds, but the default backoff grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_SERVICE = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
_PREDICT = f"/{_SERVICE.full_name}/{_SERVICE.methods_by_name['Predict'].name}"
_AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


class Replica:
    """A channel to one gRPC target; `model` is the name of the model there."""

    def __init__(self, target: str, model: str) -> None:
        self.target = target
        self.model = model
        self.calls = 0
        """Calls in flight."""
        self._channel = grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS)
        # Like the stub's method, but requests are serialized already.
        self._predict = self._channel.unary_unary(
            _PREDICT,
            request_serializer=None,
            response_deserializer=predict_pb2.PredictResponse.FromString,
        )
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    async def versions(self, timeout_s: float) -> list[int]:
        """Returns the loaded versions, highest first; waits until the server listens.

        Raises grpc.aio.AioRpcError if the call fails or takes longer than `timeout_s` seconds.
        """
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self.model
        response = await self._models.GetModelStatus(request, timeout=timeout_s, wait_for_ready=True)
        loaded = [s.version for s in response.model_version_status if s.state == _AVAILABLE]
        return sorted(loaded, reverse=True)

    async def servable(self, version: int, name: str, timeout_s: float) -> ServableDescription:
        """Fetches manifest and tokenizer of a version; `name` is the name of the model in this application.

        Raises ContractError if either is missing or the manifest is invalid, grpc.aio.AioRpcError if the call
        fails.
        """
        request = predict_request(self.model, version, names.MANIFEST_SIGNATURE, {})
        response = await self.predict(request, timeout_s)
        manifest, tokenizer = (response.get(key) for key in (names.MANIFEST, names.TOKENIZER))
        if manifest is None or tokenizer is None:
            raise ContractError(
                f"{self.model} version {version}: signature {names.MANIFEST_SIGNATURE!r} must return "
                f"{names.MANIFEST!r} and {names.TOKENIZER!r}"
            )
        return ServableDescription(
            ServableId(name, version), Manifest.from_json(manifest.item()), tokenizer.item()
        )

    async def predict(self, request: bytes, timeout_s: float) -> dict[str, Array]:
        """Sends a serialized PredictRequest and returns the outputs.

        Raises grpc.aio.AioRpcError if the call fails, TensorError if an output cannot be read.
        """
        response = await self._predict(request, timeout=timeout_s)
        return {name: from_proto(proto) for name, proto in response.outputs.items()}

    async def close(self) -> None:
        """Closes the channel; calls in flight fail."""
        await self._channel.close(grace=None)
