"""The services beside Predict: health and reflection, and unknown methods."""

from collections.abc import Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from tests.modelserver.client import SECONDS, Client

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("service", ["", "PredictionService", "ModelService"])
def test_the_health_service_reports_every_service_as_serving(client: Client, service: str):
    stub = health_pb2_grpc.HealthStub(client.channel)
    response = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=SECONDS)
    assert response.status == health_pb2.HealthCheckResponse.SERVING


def test_the_health_of_an_unknown_service_is_not_found(client: Client):
    stub = health_pb2_grpc.HealthStub(client.channel)
    with pytest.raises(grpc.RpcError) as error:
        stub.Check(health_pb2.HealthCheckRequest(service="nope"), timeout=SECONDS)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert error.value.details() == "service name unknown"


def _reflect(client: Client, version: str, **request: str) -> reflection_pb2.ServerReflectionResponse:
    method = client.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )

    def requests() -> Iterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(**request)

    (response,) = method(requests(), timeout=SECONDS)
    return response


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_the_services(client: Client, version: str):
    response = _reflect(client, version, list_services="")
    names = {service.name for service in response.list_services_response.service}
    assert {"tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"} <= names


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_describes_predict(client: Client, version: str):
    symbol = "tensorflow.serving.PredictionService"
    response = _reflect(client, version, file_containing_symbol=symbol)
    (described, *_) = response.file_descriptor_response.file_descriptor_proto
    assert b"PredictRequest" in described


@pytest.mark.parametrize(
    "method", ["/tensorflow.serving.PredictionService/Nope", "/nope.Service/Nope", "/nope"]
)
def test_an_unknown_method_is_unimplemented_without_a_message(client: Client, method: str):
    with pytest.raises(grpc.RpcError) as error:
        client.channel.unary_unary(method)(b"", timeout=SECONDS)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error.value.details() == ""
