"""Start and end of the server process."""

import os
import shutil
import time
from contextlib import closing
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.modelserver.client import Client, request, waiting
from tests.modelserver.test_versions_on_disk import publish, version_served
from tests.servers import EndedError, ModelServer, is_embedded

pytestmark = pytest.mark.processes

FAIL_FAST = ("--max_num_load_retries=0", "--num_load_threads=1")


def flags(base: Path) -> tuple[str, ...]:
    return ("--model_name=m", f"--model_base_path={base}", *FAIL_FAST)


def test_an_unknown_flag_ends_the_process(tmp_path: Path):
    with pytest.raises(EndedError) as error, ModelServer(*flags(tmp_path), "--no_such_flag=1"):
        pass
    assert error.value.code == 255
    assert "no_such_flag" in error.value.log


def test_a_model_that_cannot_be_loaded_ends_the_process(models: Path, tmp_path: Path):
    shutil.copytree(models / "waiting" / "1", tmp_path / "1")
    os.truncate(tmp_path / "1" / "variables" / "variables.data-00000-of-00001", 4)
    with pytest.raises(EndedError) as error, ModelServer(*flags(tmp_path)):
        pass
    assert error.value.code == 255
    assert "{name: m version: 1}" in error.value.log


def test_a_killed_server_starts_again_on_the_same_socket(models: Path):
    with ModelServer(*flags(models / "other")) as server:
        server.kill()
        assert Path(server.socket).exists()
        server.start()
        server.wait_until_ready()
        with Client(server) as client:
            x = np.array([3], np.float32)
            assert client.predict(request("m", x=x))["y"].tolist() == [2]


def test_a_base_path_without_versions_is_waited_for(models: Path, tmp_path: Path):
    base = tmp_path / "m"
    base.mkdir()
    with closing(ModelServer(*flags(base))) as server:
        server.start()
        while is_embedded() and f"no versions of m in {base}" not in server.log:
            time.sleep(0.05)
        publish(models / "waiting" / "2", base)
        server.wait_until_ready()
        with Client(server) as client:
            assert version_served(client) == 2


@pytest.mark.skipif(not is_embedded(), reason="the real server does not drain on SIGTERM")
def test_on_sigterm_new_calls_are_refused_and_those_in_flight_end_well(models: Path, tmp_path: Path):
    with ModelServer(*flags(models / "waiting")) as server, Client(server) as client:
        running = client.begin(waiting("m", tmp_path / "go"))
        while client.predict(request("m", "looks"))["looks"] == 0:
            pass
        server.terminate()
        while not _is_refused(client):
            pass
        (tmp_path / "go").touch()
        assert list(running.result().outputs["found"].bool_val) == [True]
        assert server.wait() == 0


def _is_refused(client: Client) -> bool:
    try:
        client.predict(request("m", "looks"))
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    return False
