"""The demo application, with one small model on an external server, for all end-to-end tests."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.e2e.application import ROOT, Application
from tests.e2e.client import open_client
from tests.servers import ModelServer

DEMO_MODELS = ("tales-gpt", "tales-lstm")
EXPLICIT = "tales-gpt-explicit"
DRAFTED = "tales-gpt-drafted"
"""The GPT with itself as its draft model."""
MODELS = (*DEMO_MODELS, EXPLICIT)
"""Every demo model, and the GPT, whose state is resident, a second time with explicit state."""


@pytest.fixture(scope="session")
def external_server(arithmetic_base: Path) -> Iterator[ModelServer]:
    with ModelServer("--model_name=arithmetic", f"--model_base_path={arithmetic_base}") as server:
        yield server


@pytest.fixture(scope="session")
def application(
    external_server: ModelServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Application]:
    for model in MODELS:
        assert (ROOT / "models" / model / "1").is_dir(), "the demo servables are missing: run `make models`"
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    small = {"max_running": 2, "max_waiting": 2, "recovery_timeout_s": 1.0}
    gpt = {"base_path": f"models/{DEMO_MODELS[0]}"}
    external = {"addresses": [external_server.target]}
    config["applications"][0]["args"]["models"] += [
        {"name": "arithmetic", "external": external, "decoder": small},
        {"name": EXPLICIT, "managed": {"base_path": f"models/{EXPLICIT}"}},
        {"name": DRAFTED, "managed": gpt, "draft": {"managed": gpt}},
    ]
    with Application(config, tmp_path_factory.mktemp("application")) as application:
        yield application


@pytest.fixture
async def client(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(application.url) as client:
        yield client
