"""The demo application, and one small model on an external server, for all end-to-end tests."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e.application import ROOT, Application
from tests.e2e.client import open_client
from tests.servers import ModelServer

DEMO_MODELS = ("tales-gpt", "tales-lstm")
RESIDENT = "tales-gpt-resident"
MODELS = (*DEMO_MODELS, RESIDENT)
"""Every demo model, and the GPT once more in the other state layout."""


@pytest.fixture(scope="session")
def arithmetic_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The servable of tests/deployments/decoder/arithmetic.py."""
    base = tmp_path_factory.mktemp("e2e-servables") / "arithmetic"
    module = "tests.deployments.decoder.arithmetic_servable"
    subprocess.run([sys.executable, "-m", module, str(base)], check=True, cwd=ROOT, capture_output=True)
    return base


@pytest.fixture(scope="session")
def resident_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo GPT, exported with resident state."""
    base = tmp_path_factory.mktemp("e2e-resident")
    export = ["-m", "export", "gpt2", "demo/tales-gpt", "--out", str(base), "--name", RESIDENT]
    subprocess.run(
        [sys.executable, *export, "--state", "resident"], check=True, cwd=ROOT, capture_output=True
    )
    return base / RESIDENT


@pytest.fixture(scope="session")
def external_server(arithmetic_base: Path) -> Iterator[ModelServer]:
    with ModelServer("--model_name=arithmetic", f"--model_base_path={arithmetic_base}") as server:
        yield server


@pytest.fixture(scope="session")
def application(
    external_server: ModelServer, resident_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Application]:
    for model in DEMO_MODELS:
        assert (ROOT / "models" / model / "1").is_dir(), "the demo servables are missing: run `make models`"
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    small = {"max_running": 2, "max_waiting": 2, "recovery_timeout_s": 1.0}
    external = {"addresses": [external_server.target]}
    config["applications"][0]["args"]["models"] += [
        {"name": "arithmetic", "external": external, "decoder": small},
        {"name": RESIDENT, "managed": {"base_path": str(resident_base)}},
    ]
    with Application(config, tmp_path_factory.mktemp("application")) as application:
        yield application


@pytest.fixture
async def client(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(application.url) as client:
        yield client
