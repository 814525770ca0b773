"""Models and servers that the tests share, since a server takes seconds to start."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.modelserver.client import Client
from tests.once import once
from tests.servers import ROOT, ModelServer

CONFIG = """
model_config_list {{
  config {{
    name: "basic" base_path: "{base}/basic" model_platform: "tensorflow"
    model_version_policy {{ all {{}} }}
    version_labels {{ key: "stable" value: 1 }}
    version_labels {{ key: "canary" value: 2 }}
  }}
  config {{ name: "other" base_path: "{base}/other" model_platform: "tensorflow" }}
  config {{ name: "named" base_path: "{base}/named" model_platform: "tensorflow" }}
  config {{ name: "waiting" base_path: "{base}/waiting" model_platform: "tensorflow" }}
  config {{ name: "pool" base_path: "{base}/pool" model_platform: "tensorflow" }}
}}
"""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of the recordings. Tests must not change these files."""

    def make(base: Path) -> None:
        command = [sys.executable, "-m", "tests.modelserver.make_models", str(base)]
        subprocess.run(command, check=True, cwd=ROOT, capture_output=True)

    return once(tmp_path_factory, "modelserver", make)


@pytest.fixture(scope="session")
def recorded_flags(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The flags of the recorded server, and two more models."""
    config = tmp_path_factory.mktemp("config") / "models.config"
    config.write_text(CONFIG.format(base=models))
    return (
        f"--model_config_file={config}",
        "--allow_version_labels_for_unavailable_models=true",
    )


@pytest.fixture(scope="session")
def server(recorded_flags: tuple[str, ...]) -> Iterator[ModelServer]:
    """A server for tests that do not change its variables."""
    with ModelServer(*recorded_flags, "--enable_grpc_healthcheck_service") as running:
        yield running


@pytest.fixture
def client(server: ModelServer) -> Iterator[Client]:
    with Client(server) as connected:
        yield connected
