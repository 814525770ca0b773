"""Reflection, the health service, and the answer to unknown methods."""

from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

_SERVICES = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
_HEALTHY = ("", "PredictionService", "ModelService")
_REFLECTION_V1 = "grpc.reflection.v1.ServerReflection"
"""Its messages are serialized as those of v1alpha."""


def add_reflection(server: grpc.Server) -> None:
    """Adds the reflection services v1 and v1alpha."""
    names = (*_SERVICES, _REFLECTION_V1, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    method = grpc.stream_stream_rpc_method_handler(
        reflection.ReflectionServicer(names).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = {"ServerReflectionInfo": method}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_REFLECTION_V1, handlers)])


def add_health(server: grpc.Server) -> None:
    """Adds the health service. Every service is SERVING, since the port opens once all models are loaded."""
    servicer = _Health()
    for name in _HEALTHY:
        servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)


class _Health(health.HealthServicer):
    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        if request.service not in _HEALTHY:
            context.abort(grpc.StatusCode.NOT_FOUND, "service name unknown")
        return super().Check(request, context)


class UnknownMethods(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """The handler of all other methods, to be added last: UNIMPLEMENTED with an empty message."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Returns the same handler for every method."""
        del handler_call_details
        return grpc.stream_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.UNIMPLEMENTED, "")
        )
