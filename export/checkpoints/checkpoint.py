"""A checkpoint directory in Hugging Face's layout: JSON files and safetensors, of any model family."""

import json
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from contract.tensors import Shape
from export.checkpoints.tensor_files import TensorFiles, places
from export.errors import SourceError, UnsupportedError

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"

Weights = dict[str, npt.NDArray[np.float32]]


class Checkpoint:
    """One checkpoint directory, whose files are read on demand; raises SourceError when there is none."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if not directory.is_dir():
            raise SourceError(f"{directory} is not a directory")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The object in config.json."""
        return self.json(CONFIG)

    def model_type(self, supported: Collection[str]) -> str:
        """Returns the `model_type` of the configuration; raises UnsupportedError unless it is `supported`."""
        model_type = self.config.get("model_type")
        if model_type not in supported:
            raise UnsupportedError(
                f"{self.directory / CONFIG}: model_type {model_type!r} is not supported; "
                f"supported: {', '.join(supported)}"
            )
        return str(model_type)

    def size(self, key: str) -> int:
        """Returns a value of the configuration; raises SourceError unless it is a positive integer."""
        value = self.config.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SourceError(f"{self.directory / CONFIG}: {key} must be a positive integer, not {value!r}")
        return value

    def json(self, name: str) -> dict[str, Any]:
        """Returns the JSON object in the file `name`; raises SourceError when it cannot be read as one."""
        try:
            value = json.loads(self.read(name))
        except ValueError as error:
            raise SourceError(f"{self.directory / name} is not JSON: {error}") from error
        if not isinstance(value, dict):
            raise SourceError(f"{self.directory / name} must hold a JSON object")
        return value

    def optional_json(self, name: str) -> dict[str, Any]:
        """Returns the JSON object in the file `name`, or an empty one when there is no such file."""
        return self.json(name) if (self.directory / name).exists() else {}

    def read(self, name: str) -> bytes:
        """Returns the bytes of the file `name`; raises SourceError when it cannot be read."""
        try:
            return (self.directory / name).read_bytes()
        except FileNotFoundError:
            raise SourceError(f"{self.directory / name} is missing") from None
        except OSError as error:
            raise SourceError(f"{self.directory / name} cannot be read: {error.strerror}") from error

    def tensors(self, needs: Mapping[str, Shape], prefix: str, ignored: tuple[str, ...]) -> TensorFiles:
        """Returns the tensors that `needs` names, with their shapes; each can then be read by itself.

        Names in the files may begin with `prefix`. Tensors whose names end in one of `ignored` are skipped.
        Raises SourceError for a missing or a surplus tensor, ShapeError for another shape, UnsupportedError
        for a dtype that is not floating.
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
        """Reads all tensors of `shapes` as float32; raises as `tensors` does."""
        files = self.tensors(shapes, prefix, ignored)
        return {name: files.read(name, shape).astype(np.float32) for name, shape in shapes.items()}

    def _files(self) -> dict[str, Path]:
        """Maps the name of each tensor to its file."""
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
