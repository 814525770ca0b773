"""The demo application as a module attribute, for `serve run deployments.demo:app` and `serve build`.

The same application as in serve_config.yaml, for those commands of Serve that take no arguments.
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
