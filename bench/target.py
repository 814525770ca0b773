"""The model under test as the application serves it: its configuration, and its model server's options."""

import copy
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import environ
from pathlib import Path
from typing import Any

import yaml

from bench.errors import SettingsError
from bench.processes import HOST, free_port

_INTRA = "--tensorflow_intra_op_parallelism="
_INTER = "--tensorflow_inter_op_parallelism="
_STATE_BYTES = 4 * 2**30
"""Holds the state of more sessions than any comparison has at a time."""


@dataclass(frozen=True)
class Target:
    """A configuration with one model, on a free port, and the options of its model server."""

    config: Mapping[str, Any]
    model: str
    baseline: str
    """The same model with explicit state, for the naive loop and the raw step; else the model itself."""
    base_path: Path
    """Of the baseline."""
    binary: str | None
    flags: tuple[str, ...]
    port: int

    @property
    def servable(self) -> Path:
        """The directory of the baseline's latest version; raises SettingsError where there is none."""
        versions = [path for path in self.base_path.glob("*") if path.name.isdecimal()]
        if not versions:
            raise SettingsError(f"{self.base_path} holds no version directory such as {self.base_path}/1")
        return max(versions, key=lambda path: int(path.name))

    @property
    def threads(self) -> tuple[int, int]:
        """TensorFlow's threads within and between operations; 0 leaves the choice to TensorFlow."""
        return self._number(_INTRA), self._number(_INTER)

    def _number(self, flag: str) -> int:
        values = [given.removeprefix(flag) for given in self.flags if given.startswith(flag)]
        return int(values[-1]) if values else 0

    def model_server(self, socket_path: Path) -> list[str]:
        """Returns the command that starts a model server like the application's own, for the baseline."""
        found = self.binary or shutil.which("tensorflow_model_server")
        return [
            *([found] if found else [sys.executable, "-m", "modelserver"]),
            "--port=0",
            f"--grpc_socket_path={socket_path}",
            f"--model_name={self.baseline}",
            f"--model_base_path={self.base_path}",
            "--enable_serialization_as_tensor_content=true",
            *self.flags,
        ]


def configured(serve_config: Path, model: str, models: Path) -> Target:
    """Reads the application's configuration file and reduces it to `model`, which lies in `models`/`model`.

    Raises SettingsError where the file does not have the model, or not with a managed model server.
    """
    config = yaml.safe_load(serve_config.read_text())
    application, entry = _entry(config, model)
    if entry.get("managed") is None:
        raise SettingsError(f"{model} has external model servers; only managed ones can be measured")
    baseline = f"{model}-explicit" if (models / f"{model}-explicit").is_dir() else model
    return _target(config, application, entry, models / model, models / baseline)


def single(model: str, base_path: Path, decoder: Mapping[str, Any]) -> Target:
    """Configures the application for one model; `decoder` adds options to its decoder section."""
    entry = {"name": model, "managed": {}, "decoder": {"state_bytes": _STATE_BYTES, **decoder}}
    application: dict[str, Any] = {"name": "tensorloom", "route_prefix": "/", "args": {}}
    application["import_path"] = "deployments.app:build_app"
    return _target({"proxy_location": "HeadOnly"}, application, entry, base_path, base_path)


def with_drafted(chosen: Target, name: str, draft: Path) -> Target:
    """Adds the model of `single` once more as `name`, with the draft model whose versions are in `draft`."""
    config = copy.deepcopy(dict(chosen.config))
    models = config["applications"][0]["args"]["models"]
    managed = {"base_path": str(draft.absolute()), "binary": chosen.binary}
    models.append({**models[0], "name": name, "draft": {"managed": managed}})
    return replace(chosen, config=config)


def _target(
    config: dict[str, Any],
    application: dict[str, Any],
    entry: dict[str, Any],
    base_path: Path,
    baseline: Path,
) -> Target:
    """Makes `entry`, with the versions in `base_path`, the only model of the only application."""
    port, managed = free_port(), entry["managed"]
    binary = environ.get("TENSORFLOW_MODEL_SERVER") or managed.get("binary")
    managed |= {"base_path": str(base_path.absolute()), "binary": binary}
    application["args"]["models"] = [entry]
    config["applications"] = [application]
    config["http_options"] = {**config.get("http_options", {}), "host": HOST, "port": port}
    flags = tuple(managed.get("flags", ()))
    return Target(config, entry["name"], baseline.name, baseline.absolute(), binary, flags, port)


def _entry(config: Any, model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the application that serves `model`, and the model's entry in it."""
    for application in config["applications"]:
        for entry in application["args"]["models"]:
            if entry["name"] == model:
                return application, entry
    raise SettingsError(f"the configuration has no model {model!r}")
