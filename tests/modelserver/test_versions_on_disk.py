"""Versions appear and disappear on disk; calls succeed throughout, with another version."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest

from tests.modelserver.client import Client, request, waiting
from tests.servers import ModelServer

pytestmark = pytest.mark.processes

X = np.ones(3, np.float32)


def publish(source: Path, base: Path) -> None:
    """Copies a version and renames it into place, as publishers should."""
    staged = base.parent / f"staged-{source.name}"
    shutil.copytree(source, staged)
    os.rename(staged, base / source.name)


@contextmanager
def serving(models: Path, base: Path) -> Iterator[Client]:
    """Starts a server of version 1 of `waiting`, in a base path of its own."""
    base.mkdir()
    publish(models / "waiting" / "1", base)
    flags = ("--model_name=m", f"--model_base_path={base}", "--max_num_load_retries=0")
    with ModelServer(*flags, "--num_load_threads=1") as server, Client(server) as client:
        yield client


def version_served(client: Client) -> int:
    return int(client.prediction.Predict(request("m", x=X)).model_spec.version.value)


def pinned(client: Client, version: int) -> str:
    """Returns the code and message of a call to one version."""
    try:
        client.predict(request("m", version=version, x=X))
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"
    return "OK"


def test_a_new_version_takes_over_without_an_error(models: Path, tmp_path: Path):
    with serving(models, tmp_path / "m") as client:
        assert version_served(client) == 1
        publish(models / "waiting" / "2", tmp_path / "m")
        while version_served(client) == 1:
            assert pinned(client, 1) in ("OK", "NOT_FOUND: Servable not found for request: Specific(m, 1)")
        while pinned(client, 1) == "OK":
            assert version_served(client) == 2
        assert pinned(client, 1) == "NOT_FOUND: Servable not found for request: Specific(m, 1)"
        while client.states("m")[1] != "END":
            assert version_served(client) == 2
        assert client.states("m") == {2: "AVAILABLE", 1: "END"}

        shutil.rmtree(tmp_path / "m" / "1")
        shutil.rmtree(tmp_path / "m" / "2")
        while client.states("m")[2] != "END":
            pass
        with pytest.raises(grpc.RpcError, match=r"Servable not found for request: Latest\(m\)"):
            version_served(client)

        publish(models / "waiting" / "1", tmp_path / "m")
        while client.states("m")[1] != "AVAILABLE":
            pass
        assert version_served(client) == 1


def test_a_version_unloads_only_after_its_calls_have_ended(models: Path, tmp_path: Path):
    with serving(models, tmp_path / "m") as client:
        running = client.begin(waiting("m", tmp_path / "go"))
        while client.predict(request("m", "looks"))["looks"] == 0:
            pass
        publish(models / "waiting" / "2", tmp_path / "m")
        while client.states("m")[1] != "UNLOADING":
            pass
        assert pinned(client, 1).startswith("NOT_FOUND")
        assert version_served(client) == 2
        assert client.states("m")[1] == "UNLOADING"
        (tmp_path / "go").touch()
        assert running.result().model_spec.version.value == 1
        while client.states("m")[1] != "END":
            pass


def test_a_broken_version_leaves_the_old_one_serving(models: Path, tmp_path: Path):
    with serving(models, tmp_path / "m") as client:
        broken = tmp_path / "2"
        shutil.copytree(models / "waiting" / "2", broken)
        os.truncate(broken / "variables" / "variables.data-00000-of-00001", 4)
        os.rename(broken, tmp_path / "m" / "2")
        while client.states("m").get(2) != "END":
            assert version_served(client) == 1
        assert version_served(client) == 1
        assert client.states("m") == {2: "END", 1: "AVAILABLE"}
