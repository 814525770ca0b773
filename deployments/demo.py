"""The demo application, bound: `serve run deployments.demo:app`, `serve build deployments.demo:app`.

The same graph as serve_config.yaml describes, for the commands of Serve that take no arguments.
"""

from pathlib import Path

from deployments.app import build_app
from deployments.config import AppArgs, ManagedServer, ModelArgs

MODELS = ("tales-gpt", "tales-lstm")

app = build_app(
    AppArgs(
        models=tuple(
            ModelArgs(name=name, managed=ManagedServer(base_path=Path("models") / name)) for name in MODELS
        )
    )
)
