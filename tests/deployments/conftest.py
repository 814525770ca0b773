"""One Ray and one Serve for all tests of the application, with the fake decoder; and an inbox."""

import os
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

# Serve reads them when it is imported.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ.setdefault("RAY_SERVE_THROUGHPUT_OPTIMIZED", "1")
os.environ["RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"] = "0"

import pytest
import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from deployments.app import bind
from deployments.streams.inbox import Inbox
from tests.deployments.application import APP_ARGS, Application
from tests.deployments.fakes import FakeDecoder


@pytest.fixture(scope="package")
def cluster() -> Iterator[None]:
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="package")
def application(cluster: None) -> Iterator[Application]:  # noqa: ARG001
    port = _free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(bind(APP_ARGS, FakeDecoder), route_prefix="/")
    decoders = {model.name: _decoder(model.name) for model in APP_ARGS.models}
    yield Application(f"http://127.0.0.1:{port}", decoders)
    serve.shutdown()


def _decoder(model: str) -> DeploymentHandle[Any]:
    handle = serve.get_deployment_handle(f"decoder-{model}", "default")
    # Tests have no event loop of their own for it to run in.
    handle._init(_run_router_in_separate_loop=True)
    return handle


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    inbox = Inbox("127.0.0.1")
    yield inbox
    await inbox.close()
