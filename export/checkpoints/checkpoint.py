"""A checkpoint directory in Hugging Face's layout: JSON files and safetensors. Knows no model family."""

import json
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from export.checkpoints.tensor_files import Shape, TensorFiles, places
from export.errors import SourceError, UnsupportedError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

Weights = dict[str, npt.NDArray[np.float32]]


class Checkpoint:
    """One checkpoint directory, read as far as asked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if not directory.is_dir():
            raise SourceError(f"{directory} is not a directory")

    @cached_property
    def config(self) -> dict[str, Any]:
        return self.json(CONFIG)

    def model_type(self, supported: Collection[str]) -> str:
        """What the configuration says; UnsupportedError for another than the supported."""
        given = self.config.get("model_type")
        if given not in supported:
            raise UnsupportedError(
                f"{self.directory / CONFIG}: model_type {given!r} is not supported; "
                f"supported are {', '.join(supported)}"
            )
        return str(given)

    def size(self, key: str) -> int:
        """A positive whole number of the configuration."""
        value = self.config.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SourceError(f"{self.directory / CONFIG}: {key} must be a positive integer, not {value!r}")
        return value

    def json(self, name: str) -> dict[str, Any]:
        """The object in the file `name`; SourceError where there is none."""
        try:
            value = json.loads(self.read(name))
        except ValueError as error:
            raise SourceError(f"{self.directory / name} is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise SourceError(f"{self.directory / name} must hold a JSON object")
        return value

    def optional_json(self, name: str) -> dict[str, Any]:
        """The object in the file `name`, or an empty one where there is no such file."""
        return self.json(name) if (self.directory / name).exists() else {}

    def read(self, name: str) -> bytes:
        try:
            return (self.directory / name).read_bytes()
        except FileNotFoundError:
            raise SourceError(f"{self.directory / name} is missing") from None
        except OSError as error:
            raise SourceError(f"{self.directory / name} cannot be read: {error.strerror}") from error

    def tensors(self, needs: Mapping[str, Shape], prefix: str, ignored: tuple[str, ...]) -> TensorFiles:
        """The tensors that `needs` names, to be read one by one.

        Names in the files may begin with `prefix`; those that end in one of `ignored` carry no weights of
        their own. Raises SourceError for a missing or a surplus tensor, ShapeError for one of another shape,
        UnsupportedError for one that does not hold floating numbers.
        """
        files = self._files()
        known = {name.removeprefix(prefix): name for name in files}
        surplus = [name for name in known if name not in needs and not name.endswith(ignored)]
        if surplus:
            raise SourceError(f"{self.directory}: tensor {surplus[0]} has no place in the configured model")
        if missing := [name for name in needs if name not in known]:
            raise SourceError(f"{self.directory}: tensor {missing[0]} is missing")
        found = TensorFiles({name: (files[known[name]], known[name]) for name in needs})
        for name, shape in needs.items():
            found.check(name, shape)
        return found

    def weights(self, shapes: Mapping[str, Shape], prefix: str, ignored: tuple[str, ...]) -> Weights:
        """As `tensors`, all at once and as float32."""
        files = self.tensors(shapes, prefix, ignored)
        return {name: files.read(name, shape).astype(np.float32) for name, shape in shapes.items()}

    def _files(self) -> dict[str, Path]:
        """Which file holds each tensor."""
        if (self.directory / INDEX).exists():
            weight_map = self.json(INDEX).get("weight_map")
            if not isinstance(weight_map, dict):
                raise SourceError(f"{self.directory / INDEX} has no weight_map")
            return {name: self._existing(file) for name, file in weight_map.items()}
        path = self._existing(WEIGHTS)
        return dict.fromkeys(places(path), path)

    def _existing(self, name: str) -> Path:
        path = self.directory / name
        if not path.is_file():
            raise SourceError(f"{path} is missing")
        return path
