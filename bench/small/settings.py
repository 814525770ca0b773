"""The application's configuration for a servable of the random model."""

from collections.abc import Mapping
from os import environ
from pathlib import Path
from typing import Any

from bench.settings import HOST, Settings, free_port

_STATE_BYTES = 4 * 2**30
"""Room for the state of more sessions than any comparison has at a time."""


def settings(model: str, base_path: Path, decoder: Mapping[str, Any]) -> Settings:
    """One model on a free port; `decoder` holds further options of its section."""
    binary = environ.get("TENSORFLOW_MODEL_SERVER")
    port = free_port()
    entry = {
        "name": model,
        "managed": {"base_path": str(base_path), "binary": binary},
        "decoder": {"state_bytes": _STATE_BYTES, **decoder},
    }
    application = {
        "name": "tensorloom",
        "route_prefix": "/",
        "import_path": "deployments.app:build_app",
        "args": {"models": [entry]},
    }
    config = {
        "proxy_location": "HeadOnly",
        "http_options": {"host": HOST, "port": port},
        "applications": [application],
    }
    return Settings(config, model, model, base_path, binary, (), port)
