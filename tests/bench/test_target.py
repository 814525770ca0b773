"""From the repository's own configuration to what is run."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import SettingsError
from bench.target import Target, configured, single, with_drafted
from deployments.config import AppArgs
from tests.servers import ROOT

CONFIG = ROOT / "serve_config.yaml"


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.delenv("TENSORFLOW_MODEL_SERVER", raising=False)
    for version in ("2", "10", "assets"):
        (tmp_path / "tales-gpt" / version).mkdir(parents=True)
    return configured(CONFIG, "tales-gpt", tmp_path)


def test_only_the_model_that_is_measured_is_served(target: Target):
    args = AppArgs.model_validate(target.config["applications"][0]["args"])
    assert [model.name for model in args.models] == ["tales-gpt"]


def test_the_application_listens_on_a_port_of_its_own(target: Target):
    assert target.config["http_options"] == {"host": "127.0.0.1", "port": target.port}
    assert target.port != 8000


def test_the_latest_version_is_compared(target: Target):
    assert target.servable == target.base_path / "10"


def test_a_directory_without_versions_is_refused(target: Target, tmp_path: Path):
    with pytest.raises(SettingsError, match="no version directory"):
        _ = replace(target, base_path=tmp_path).servable


def test_an_unknown_model_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="no model 'nothing'"):
        configured(CONFIG, "nothing", tmp_path)


def test_threads_are_those_of_the_model_server(target: Target):
    assert target.threads == (0, 0)
    assert replace(target, flags=("--tensorflow_intra_op_parallelism=2",)).threads == (2, 0)


def test_the_naive_loop_s_server_has_the_same_flags_as_the_managed_one(target: Target):
    flags = ("--tensorflow_inter_op_parallelism=1",)
    command = replace(target, flags=flags, binary="/opt/server").model_server(Path("/s"))
    assert command[0] == "/opt/server"
    assert f"--model_base_path={target.base_path}" in command
    assert command[-1] == flags[0]


def test_a_binary_from_the_environment_serves_the_application_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TENSORFLOW_MODEL_SERVER", "/opt/server")
    (entry,) = configured(CONFIG, "tales-gpt", tmp_path).config["applications"][0]["args"]["models"]
    assert entry["managed"]["binary"] == "/opt/server"


def test_a_model_is_served_twice_without_and_with_its_draft_model(tmp_path: Path):
    plain = single("plain", tmp_path / "big", {"max_running": 3})
    both = with_drafted(plain, "drafted", tmp_path / "small")
    models = AppArgs.model_validate(both.config["applications"][0]["args"]).models
    assert [(model.name, model.draft is None) for model in models] == [("plain", True), ("drafted", False)]
    assert models[0].managed == models[1].managed
    assert models[1].draft_model is not None
    assert models[1].draft_model.server.base_path == tmp_path / "small"
    assert len(plain.config["applications"][0]["args"]["models"]) == 1
