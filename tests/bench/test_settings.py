"""From the repository's own configuration to what is run."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.settings import Settings, SettingsError, model_server, read
from deployments.config import AppArgs
from tests.servers import ROOT

CONFIG = ROOT / "serve_config.yaml"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("TENSORFLOW_MODEL_SERVER", raising=False)
    for version in ("2", "10", "assets"):
        (tmp_path / "tales-gpt" / version).mkdir(parents=True)
    return read(CONFIG, "tales-gpt", tmp_path)


def test_only_the_model_that_is_measured_is_served(settings: Settings):
    args = AppArgs.model_validate(settings.config["applications"][0]["args"])
    assert [model.name for model in args.models] == ["tales-gpt"]


def test_the_application_listens_on_a_port_of_its_own(settings: Settings):
    assert settings.config["http_options"] == {"host": "127.0.0.1", "port": settings.port}
    assert settings.port != 8000


def test_the_latest_version_is_compared(settings: Settings):
    assert settings.servable == settings.base_path / "10"


def test_a_directory_without_versions_is_refused(settings: Settings, tmp_path: Path):
    with pytest.raises(SettingsError, match="no version directory"):
        _ = replace(settings, base_path=tmp_path).servable


def test_an_unknown_model_is_refused(tmp_path: Path):
    with pytest.raises(SettingsError, match="no model 'nothing'"):
        read(CONFIG, "nothing", tmp_path)


def test_threads_are_those_of_the_model_server(settings: Settings):
    assert settings.threads == (0, 0)
    assert replace(settings, flags=("--tensorflow_intra_op_parallelism=2",)).threads == (2, 0)


def test_the_naive_loop_s_server_has_the_same_flags_as_the_managed_one(settings: Settings):
    flags = ("--tensorflow_inter_op_parallelism=1",)
    command = model_server(replace(settings, flags=flags, binary="/opt/server"), Path("/s"))
    assert command[0] == "/opt/server"
    assert f"--model_base_path={settings.base_path}" in command
    assert command[-1] == flags[0]


def test_a_binary_from_the_environment_serves_the_application_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TENSORFLOW_MODEL_SERVER", "/opt/server")
    (entry,) = read(CONFIG, "tales-gpt", tmp_path).config["applications"][0]["args"]["models"]
    assert entry["managed"]["binary"] == "/opt/server"
