"""From the application's configuration file to what the benchmark runs: one model, on a free port.

The file is cut down to the model that is measured; everything said of that model stays.
"""

import shutil
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from os import environ
from pathlib import Path
from typing import Any

import yaml

HOST = "127.0.0.1"
_INTRA = "--tensorflow_intra_op_parallelism="
_INTER = "--tensorflow_inter_op_parallelism="


class SettingsError(Exception):
    """The configuration has nothing that could be measured."""


@dataclass(frozen=True)
class Settings:
    """A configuration to serve, and what the model server in it is started with."""

    config: Mapping[str, Any]
    model: str
    baseline: str
    """The same model with explicit state, for what is compared; the model itself where that has it."""
    base_path: Path
    """Of the baseline."""
    binary: str | None
    flags: tuple[str, ...]
    port: int

    @property
    def servable(self) -> Path:
        """The directory of the baseline's latest version."""
        versions = [path for path in self.base_path.glob("*") if path.name.isdecimal()]
        if not versions:
            raise SettingsError(f"{self.base_path} holds no version directory such as {self.base_path}/1")
        return max(versions, key=lambda path: int(path.name))

    @property
    def threads(self) -> tuple[int, int]:
        """TensorFlow's threads within and between operations; 0 is its own choice."""
        return self._number(_INTRA), self._number(_INTER)

    def _number(self, flag: str) -> int:
        values = [given.removeprefix(flag) for given in self.flags if given.startswith(flag)]
        return int(values[-1]) if values else 0


def read(serve_config: Path, model: str, models: Path) -> Settings:
    """The settings for `model`, whose versions lie in `models`/`model`."""
    config = yaml.safe_load(serve_config.read_text())
    application, entry = _entry(config, model)
    managed = entry.get("managed")
    if managed is None:
        raise SettingsError(f"{model} is served by servers of its own; only managed ones can be compared")
    binary = environ.get("TENSORFLOW_MODEL_SERVER") or managed.get("binary")
    managed |= {"base_path": str((models / model).absolute()), "binary": binary}
    baseline = f"{model}-explicit" if (models / f"{model}-explicit").is_dir() else model
    base_path = (models / baseline).absolute()
    port = free_port()
    application["args"]["models"] = [entry]
    config["applications"] = [application]
    config["http_options"] = {**config.get("http_options", {}), "host": HOST, "port": port}
    return Settings(config, model, baseline, base_path, binary, tuple(managed.get("flags", ())), port)


def model_server(settings: Settings, socket_path: Path) -> list[str]:
    """What starts a model server like the application's own, for the baseline."""
    found = settings.binary or shutil.which("tensorflow_model_server")
    return [
        *([found] if found else [sys.executable, "-m", "modelserver"]),
        "--port=0",
        f"--grpc_socket_path={socket_path}",
        f"--model_name={settings.baseline}",
        f"--model_base_path={settings.base_path}",
        "--enable_serialization_as_tensor_content=true",
        *settings.flags,
    ]


def _entry(config: Any, model: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The application that serves `model`, and the model's entry in it."""
    for application in config["applications"]:
        for entry in application["args"]["models"]:
            if entry["name"] == model:
                return application, entry
    raise SettingsError(f"the configuration has no model {model!r}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
