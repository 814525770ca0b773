"""Calls of a loaded version: variables persist, calls run side by side, deadlines hold."""

import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from contract.dtypes import dtype_of_name
from contract.stubs import predict_pb2
from tests.modelserver.client import Client, request, waiting
from tests.servers import ModelServer

pytestmark = pytest.mark.processes

ENDLESS = 10**9
"""More steps than any test waits for."""


@pytest.fixture(scope="module")
def own_server(recorded_flags: tuple[str, ...]) -> Iterator[ModelServer]:
    """A server whose variables these tests change."""
    with ModelServer(*recorded_flags) as running:
        yield running


@pytest.fixture
def own(own_server: ModelServer) -> Iterator[Client]:
    with Client(own_server) as connected:
        yield connected


def count(client: Client, step: int = 0, version: int = 2) -> int:
    return int(client.predict(request("basic", "count", version=version, step=step))["count"])


def code(error: pytest.ExceptionInfo[grpc.RpcError]) -> tuple[grpc.StatusCode, str]:
    return error.value.code(), error.value.details()


def test_variables_persist_between_calls_and_connections(own_server: ModelServer, own: Client):
    before = count(own)
    count(own, 3)
    with Client(own_server) as other:
        assert count(other, 2) == before + 5


def test_variables_of_one_version_are_not_those_of_another(own: Client):
    before = count(own, version=1)
    count(own, 3, version=2)
    assert count(own, version=1) == before


def test_updates_from_many_threads_are_all_counted(own_server: ModelServer, own: Client):
    before = count(own)

    def add() -> None:
        with Client(own_server) as client:
            for _ in range(25):
                count(client, 1)

    threads = [threading.Thread(target=add) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(own) == before + 75


def test_calls_are_answered_while_another_runs(own: Client, tmp_path: Path):
    running = own.begin(waiting("waiting", tmp_path / "go"))
    while own.predict(request("waiting", "looks"))["looks"] == 0:
        pass
    assert not running.done()
    (tmp_path / "go").touch()
    assert list(running.result().outputs["found"].bool_val) == [True]


def test_a_run_ends_at_its_deadline(own: Client):
    with pytest.raises(grpc.RpcError) as error:
        own.predict(request("basic", "loop", steps=ENDLESS), seconds=0.3)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    while not _counts_exactly(own, 20):
        pass


def _counts_exactly(client: Client, steps: int) -> bool:
    """Returns whether a loop of `steps` adds that number, so that no other call counts now."""
    before = count(client)
    return int(client.predict(request("basic", "loop", steps=steps))["count"]) == before + steps


def test_a_call_without_a_deadline_is_answered(client: Client):
    response = client.prediction.Predict(request("basic", "scalar", n=3))
    assert list(response.outputs["twice"].int64_val) == [6]


def test_a_failed_run_leaves_the_session_usable(own: Client):
    bad = request("basic", "positive", x=np.array([-1], np.float32))
    with pytest.raises(grpc.RpcError) as error:
        own.predict(bad)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    good = request("basic", "positive", x=np.array([4], np.float32))
    assert own.predict(good)["root"].tolist() == [2]


def _add(client: Client, epoch: int) -> list[list[float]]:
    added = client.predict(request("pool", "add", row=np.int32(5), epoch=epoch))
    rows: list[list[float]] = added["row"].tolist()
    return rows


def test_a_pool_is_made_by_its_claim_and_refuses_stale_owners(own: Client):
    with pytest.raises(grpc.RpcError) as error:
        _add(own, epoch=1)
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.details().startswith("Could not find variable lease_epoch.")

    own.predict(request("pool", "claim", rows=np.int32(8), epoch=1))
    assert [_add(own, epoch=1), _add(own, epoch=1)] == [[[1.0] * 4], [[2.0] * 4]]

    own.predict(request("pool", "claim", rows=np.int32(6), epoch=2))
    with pytest.raises(grpc.RpcError) as error:
        _add(own, epoch=1)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.value.details().startswith("assertion failed: [stale lease]")
    assert _add(own, epoch=2) == [[1.0] * 4]


def test_calls_past_the_limit_are_refused(models: Path, tmp_path: Path):
    flags = ("--model_name=m", f"--model_base_path={models}/waiting", "--grpc_max_threads=4")
    with ModelServer(*flags) as server, Client(server) as client:
        calls = [client.begin(waiting("m", tmp_path / "go")) for _ in range(12)]
        while not any(call.done() for call in calls):
            pass
        (tmp_path / "go").touch()
        errors = [error for call in calls if (error := call.exception())]
    assert {(error.code(), error.details()) for error in errors} == {
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Server Threadpool Exhausted")
    }
    assert len(errors) < len(calls)


def test_a_request_of_more_than_four_megabytes_is_read(client: Client):
    x = np.arange(1_500_000, dtype=np.float32)
    assert np.array_equal(client.predict(request("basic", "echo_float32", x=x))["y"], x)


@pytest.mark.parametrize("name", ["float32", "bfloat16", "int32", "int64", "string"])
def test_long_tensors_come_back_whole(client: Client, name: str):
    x = np.arange(-3000, 3000)
    x = x.astype(str).astype("S").astype(object) if name == "string" else x.astype(dtype_of_name(name))
    echoed = client.predict(request("basic", f"echo_{name}", x=x))["y"]
    assert echoed.dtype == x.dtype
    assert echoed.tolist() == x.tolist()


def test_a_long_message_is_cut_at_1024_bytes_and_says_so(client: Client):
    name = "s" * 2000
    with pytest.raises(grpc.RpcError) as error:
        client.predict(request("basic", name))
    whole = f'Serving signature key "{name}" not found.'
    assert code(error) == (grpc.StatusCode.FAILED_PRECONDITION, whole[:1024] + "...TRUNCATED")


def test_the_response_names_the_version_that_answered(client: Client):
    message = request("basic", "scalar", n=1)
    message.model_spec.version_label = "stable"
    response = client.prediction.Predict(message)
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "scalar"


def test_an_empty_request_is_refused_with_what_is_missing(client: Client):
    with pytest.raises(grpc.RpcError) as error:
        client.predict(predict_pb2.PredictRequest())
    assert code(error) == (grpc.StatusCode.INVALID_ARGUMENT, "Missing ModelSpec")
