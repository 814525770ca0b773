"""What Keras wrote of an object into a JSON file: the name of its class, and its config."""

from collections.abc import Collection

from export.checkpoints.checkpoint import Checkpoint
from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError, UnsupportedError


def class_name(preset: Checkpoint, file: str, supported: Collection[str], hint: str = "") -> str:
    """UnsupportedError for another than the supported; `hint` says what to do then."""
    name = preset.json(file).get("class_name")
    if name not in supported:
        raise UnsupportedError(
            f"{preset.directory / file}: class_name {name!r} is not supported; "
            f"supported are {', '.join(supported)}{hint}"
        )
    return str(name)


def read_config(preset: Checkpoint, file: str, ignored: Collection[str] = ()) -> ConfigReader:
    """Those that say nothing of results are taken for known."""
    config = preset.json(file).get("config")
    if not isinstance(config, dict):
        raise SourceError(f"{preset.directory / file} has no config")
    found = ConfigReader(config, preset.directory / file, ignored)
    found.unused("name", "trainable", "dtype", "dropout")
    return found
