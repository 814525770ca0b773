"""Reads objects that Keras serialized into JSON files: the name of the class, and the configuration."""

from collections.abc import Collection

from export.checkpoints.checkpoint import Checkpoint
from export.checkpoints.config_reader import ConfigReader
from export.errors import SourceError, UnsupportedError


def class_name(preset: Checkpoint, file: str, supported: Collection[str], hint: str = "") -> str:
    """Returns the class name of the object in `file`.

    Raises UnsupportedError when it is not among `supported`; `hint` is appended to the message.
    """
    name = preset.json(file).get("class_name")
    if name not in supported:
        raise UnsupportedError(
            f"{preset.directory / file}: class_name {name!r} is not supported; "
            f"supported: {', '.join(supported)}{hint}"
        )
    return str(name)


def read_config(preset: Checkpoint, file: str, ignored: Collection[str] = ()) -> ConfigReader:
    """Returns a reader of the object's configuration; keys that do not change its results count as read.

    Raises SourceError when there is no configuration. `ignored` are further keys that may be unknown.
    """
    values = preset.json(file).get("config")
    if not isinstance(values, dict):
        raise SourceError(f"{preset.directory / file} has no config")
    config = ConfigReader(values, preset.directory / file, ignored)
    config.unused("name", "trainable", "dtype", "dropout")
    return config
