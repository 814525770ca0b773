"""One Ray and one Serve for all tests of the graph, with the fake decoder in it."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass

# Serve reads them when it is imported.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ["RAY_SERVE_THROUGHPUT_OPTIMIZED"] = "1"

import pytest
import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.config import AppArgs
from deployments.graph import bind
from tests.deployments.fakes import FakeDecoder

APP_ARGS = AppArgs.model_validate(
    {
        "models": [
            {"name": "echo", "external": {"addresses": ["unused:1"]}},
            {"name": "mute", "external": {"addresses": ["unused:1"]}},
        ]
    }
)


@dataclass(frozen=True)
class Application:
    """The running application."""

    url: str

    def decoder(self, model: str) -> "DeploymentHandle[FakeDecoder]":
        return serve.get_deployment_handle(f"decoder-{model}", "default")

    def wait_until_running(self, number: int, model: str = "echo") -> None:
        """Returns once `number` generations of `model` hold a row."""
        self.decoder(model).until_running.remote(number).result(timeout_s=30)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def application(cluster: None) -> Iterator[Application]:
    port = _free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(bind(APP_ARGS, FakeDecoder), route_prefix="/")
    yield Application(f"http://127.0.0.1:{port}")
    serve.shutdown()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
