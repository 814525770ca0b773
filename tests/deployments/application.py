"""The application that tests call over HTTP: four models of the fake decoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray.serve.handle import DeploymentHandle

from deployments.config import AppArgs

APP_ARGS = AppArgs.model_validate(
    {
        "models": [
            {"name": "echo", "external": {"addresses": ["unused:1"]}},
            {"name": "mute", "external": {"addresses": ["unused:1"]}},
            {"name": "wide", "external": {"addresses": ["unused:1"]}},
            {"name": "mortal", "external": {"addresses": ["unused:1"]}},
        ]
    }
)


@dataclass(frozen=True)
class Application:
    """The running application."""

    url: str
    decoders: Mapping[str, DeploymentHandle[Any]]

    def wait_until_running(self, number: int, model: str = "echo") -> None:
        """Waits until exactly `number` generations of `model` are running."""
        self.decoders[model].until_running.remote(number).result(timeout_s=30)
