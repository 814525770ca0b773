"""The weights of a KerasHub preset: HDF5 files, one or several, each tensor read when it is asked for.

Tensors go by their paths in the files, `layers/<layer>/.../vars/<number>`, without the underscores that names
of attributes may begin with: whether they do depends on the version of Keras. Knows no model.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import numpy.typing as npt

from export.checkpoints.checkpoint import Checkpoint
from export.errors import ShapeError, SourceError, UnsupportedError
from export.transformer_model.weight_source import Shape

WHOLE = "model.weights.h5"
INDEX = "model.weights.json"
OLD_LAYERS = "_layer_checkpoint_dependencies/"
"""What paths began with before Keras 3."""
NOT_WEIGHTS = "/seed_generator/"
"""Part of the paths of dropout's random state, which older versions of Keras save."""
DTYPES = ("float64", "float32", "float16", "bfloat16")


class WeightFiles:
    """All tensors of one preset; opening reads only names, shapes and dtypes."""

    def __init__(self, preset: Checkpoint) -> None:
        self._directory = preset.directory
        self._tensors: dict[str, h5py.Dataset] = {}
        self._open = [_opened(path) for path in _paths(preset)]
        for file in self._open:
            file.visititems(self._note)

    def _note(self, path: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and NOT_WEIGHTS not in path:
            self._tensors[_name(path)] = item

    def __contains__(self, path: str) -> bool:
        return path in self._tensors

    def require(self, needs: Mapping[str, Shape]) -> None:
        """SourceError and its kinds unless the files hold just the tensors that `needs` names."""
        for path, tensor in self._tensors.items():
            _check_numbers(path, tensor)
        if surplus := [path for path in self._tensors if path not in needs]:
            raise SourceError(f"{self._directory}: tensor {surplus[0]} has no place in the configured model")
        for path, shape in needs.items():
            if path not in self._tensors:
                raise SourceError(f"{self._directory}: tensor {path} is missing")
            self._check(path, shape)

    def _check(self, path: str, shape: Shape) -> None:
        tensor = self._tensors[path]
        if tensor.shape != shape:
            raise ShapeError(
                f"{tensor.file.filename}: tensor {path} has shape {tensor.shape}; "
                f"the configuration asks for {shape}"
            )

    def read(self, path: str, shape: Shape) -> npt.NDArray[Any]:
        tensor = self._tensors[path]
        assert tensor.shape == shape, "checked before"
        try:
            value: npt.NDArray[Any] = tensor[()]
        except OSError as error:
            raise SourceError(f"{tensor.file.filename}: tensor {path} cannot be read: {error}") from error
        return value.view(ml_dtypes.bfloat16) if _dtype(tensor) == "bfloat16" else value


def _check_numbers(path: str, tensor: h5py.Dataset) -> None:
    """UnsupportedError for quantized ones."""
    if _dtype(tensor) not in DTYPES:
        raise UnsupportedError(
            f"{tensor.file.filename}: tensor {path} is of {_dtype(tensor)}; "
            f"implemented are {', '.join(DTYPES)}"
        )
    # Numbers of yet another file are no weights that the preset's makers published.
    if tensor.is_virtual or tensor.external:
        raise UnsupportedError(f"{tensor.file.filename}: tensor {path} lies in another file")


def _name(path: str) -> str:
    parts = path.replace(OLD_LAYERS, "layers/").split("/")
    return "/".join(part.lstrip("_") for part in parts)


def _dtype(tensor: h5py.Dataset) -> str:
    """HDF5 knows no bfloat16: Keras stores two bytes, and says so in an attribute."""
    said = tensor.attrs.get("dtype") if tensor.dtype == np.void(2).dtype else None
    return str(said or tensor.dtype)


def _paths(preset: Checkpoint) -> list[Path]:
    if (preset.directory / WHOLE).exists() or not (preset.directory / INDEX).exists():
        return [preset.directory / WHOLE]
    index = preset.json(INDEX).get("weight_map")
    if not isinstance(index, dict):
        raise SourceError(f"{preset.directory / INDEX} has no weight_map")
    # A layer whose tensors lie in several files has a list.
    each = [[files] if isinstance(files, str) else files for files in index.values()]
    return [preset.directory / name for name in sorted({name for files in each for name in files})]


def _opened(path: Path) -> h5py.File:
    if not path.is_file():
        raise SourceError(f"{path} is missing")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise SourceError(f"{path} is not an HDF5 file: {error}") from error
