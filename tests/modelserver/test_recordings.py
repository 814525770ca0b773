"""This server gives the answers that a real server was recorded to give."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, json_format, message_factory

from contract.stubs import get_model_metadata_pb2
from contract.tensors import from_proto
from tests.modelserver.client import SECONDS, Client
from tests.servers import ModelServer

pytestmark = pytest.mark.processes

RECORDINGS = Path(__file__).parent / "recordings"
Row = dict[str, Any]

DEADLINES = {"deadline in a loop": 0.5}
BIG = "6 MB response"


def rows(name: str) -> list[Row]:
    loaded: list[Row] = json.loads((RECORDINGS / name).read_text())
    return loaded


PREDICT = rows("predict.json")
TENSOR_CONTENT = rows("predict_tensor_content.json")


@dataclass
class Answer:
    code: str
    message: str
    response: Any


def _replay(row: Row, client: Client) -> Answer:
    stub = client.models if row["rpc"] == "GetModelStatus" else client.prediction
    request = json_format.ParseDict(row["request"], _request_class(row)())
    try:
        response = getattr(stub, row["rpc"])(request, timeout=DEADLINES.get(row["name"], SECONDS))
    except grpc.RpcError as error:
        return Answer(error.code().name, error.details(), None)
    return Answer("OK", "", response)


def _request_class(row: Row) -> Any:
    return message_factory.GetMessageClass(
        descriptor_pool.Default().FindMessageTypeByName(row["request_type"])
    )


def _replay_all(recorded: list[Row], flags: tuple[str, ...]) -> Iterator[dict[str, Answer]]:
    """Replays all rows in their order, since some depend on earlier ones."""
    with ModelServer(*flags) as server, Client(server) as client:
        yield {row["name"]: _replay(row, client) for row in recorded}


@pytest.fixture(scope="module")
def answers(recorded_flags: tuple[str, ...]) -> Iterator[dict[str, Answer]]:
    yield from _replay_all(PREDICT, recorded_flags)


@pytest.fixture(scope="module")
def content_answers(recorded_flags: tuple[str, ...]) -> Iterator[dict[str, Answer]]:
    flags = (*recorded_flags, "--enable_serialization_as_tensor_content=true")
    yield from _replay_all(TENSOR_CONTENT, flags)


def _plain(response: Any) -> Any:
    """Returns a response in the form of the recordings."""
    if isinstance(response, get_model_metadata_pb2.GetModelMetadataResponse):
        return _plain_metadata(response)
    return json_format.MessageToDict(response, preserving_proto_field_name=True)


def _plain_metadata(response: Any) -> Any:
    described = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(described)
    return {
        "model_spec": json_format.MessageToDict(response.model_spec, preserving_proto_field_name=True),
        "metadata_keys": sorted(response.metadata),
        "signatures": {name: _plain_signature(s) for name, s in described.signature_def.items()},
    }


def _plain_signature(signature: Any) -> Any:
    return {
        "inputs": {alias: _plain_info(info) for alias, info in signature.inputs.items()},
        "outputs": {alias: _plain_info(info) for alias, info in signature.outputs.items()},
        "method_name": signature.method_name,
    }


def _plain_info(info: Any) -> Any:
    shape = info.tensor_shape
    return [info.dtype, None if shape.unknown_rank else [dim.size for dim in shape.dim]]


def _without_nodes(message: str) -> str:
    return message.partition("\n\t [[")[0]


def assert_equal(answer: Answer, row: Row) -> None:
    assert (answer.code, _without_nodes(answer.message)) == (row["code"], _without_nodes(row["message"]))
    if row["name"] == BIG:
        zeros = from_proto(answer.response.outputs["zeros"])
        assert zeros.shape == (1_500_000,)
        assert not zeros.any()
    elif row["response"] is not None:
        assert _plain(answer.response) == row["response"]


@pytest.mark.parametrize("row", PREDICT, ids=lambda row: row["name"])
def test_it_answers_as_recorded(row: Row, answers: dict[str, Answer]):
    assert_equal(answers[row["name"]], row)


@pytest.mark.parametrize("row", TENSOR_CONTENT, ids=lambda row: row["name"])
def test_it_answers_as_recorded_with_tensor_content(row: Row, content_answers: dict[str, Answer]):
    assert_equal(content_answers[row["name"]], row)
