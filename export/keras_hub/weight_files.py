"""The weights of a KerasHub preset: one or several HDF5 files, of which each tensor is read on demand.

Tensors are named by their paths in the files, `layers/<layer>/.../vars/<number>`, without leading underscores
of the parts: whether these are there depends on the version of Keras.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import numpy.typing as npt

from contract.tensors import Shape
from export.checkpoints.checkpoint import Checkpoint
from export.errors import ShapeError, SourceError, UnsupportedError

WHOLE = "model.weights.h5"
INDEX = "model.weights.json"
OLD_LAYERS = "_layer_checkpoint_dependencies/"
"""The prefix of paths before Keras 3."""
NOT_WEIGHTS = "/seed_generator/"
"""In the path of the random state of dropout, which older versions of Keras save."""
DTYPES = ("float64", "float32", "float16", "bfloat16")


class WeightFiles:
    """All tensors of one preset. Opening it reads only names, shapes and dtypes."""

    def __init__(self, preset: Checkpoint) -> None:
        self._directory = preset.directory
        self._tensors: dict[str, h5py.Dataset] = {}
        self._files = [_open(path) for path in _paths(preset)]
        for file in self._files:
            file.visititems(self._note)

    def _note(self, path: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and NOT_WEIGHTS not in path:
            self._tensors[_name(path)] = item

    def __contains__(self, path: str) -> bool:
        return path in self._tensors

    def require(self, needs: Mapping[str, Shape]) -> None:
        """Checks that the files hold the tensors of `needs`, in these shapes, and no others.

        Raises SourceError for a missing or a surplus tensor, ShapeError for another shape, UnsupportedError
        for a quantized tensor or one that is stored outside of the files.
        """
        for path, tensor in self._tensors.items():
            _check_storage(path, tensor)
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
        """Returns the tensor in the dtype of the file; raises SourceError when it cannot be read."""
        tensor = self._tensors[path]
        assert tensor.shape == shape, "require() checks the shape"
        try:
            value: npt.NDArray[Any] = tensor[()]
        except OSError as error:
            raise SourceError(f"{tensor.file.filename}: tensor {path} cannot be read: {error}") from error
        return value.view(ml_dtypes.bfloat16) if _dtype(tensor) == "bfloat16" else value


def _check_storage(path: str, tensor: h5py.Dataset) -> None:
    """Raises UnsupportedError for a quantized tensor, or one whose values lie in another file."""
    if _dtype(tensor) not in DTYPES:
        raise UnsupportedError(
            f"{tensor.file.filename}: tensor {path} has dtype {_dtype(tensor)}; "
            f"supported: {', '.join(DTYPES)}"
        )
    # Such a file is not part of the preset, and could be any file of this machine.
    if tensor.is_virtual or tensor.external:
        raise UnsupportedError(f"{tensor.file.filename}: tensor {path} lies in another file")


def _name(path: str) -> str:
    parts = path.replace(OLD_LAYERS, "layers/").split("/")
    return "/".join(part.lstrip("_") for part in parts)


def _dtype(tensor: h5py.Dataset) -> str:
    """Returns the name of the dtype."""
    # HDF5 has no bfloat16: Keras stores two bytes, and the name in an attribute.
    name = tensor.attrs.get("dtype") if tensor.dtype == np.void(2).dtype else None
    return str(name or tensor.dtype)


def _paths(preset: Checkpoint) -> list[Path]:
    if (preset.directory / WHOLE).exists() or not (preset.directory / INDEX).exists():
        return [preset.directory / WHOLE]
    index = preset.json(INDEX).get("weight_map")
    if not isinstance(index, dict):
        raise SourceError(f"{preset.directory / INDEX} has no weight_map")
    # The value is a list for a layer whose tensors lie in several files.
    lists = [[files] if isinstance(files, str) else files for files in index.values()]
    return [preset.directory / name for name in sorted({name for files in lists for name in files})]


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise SourceError(f"{path} is missing")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise SourceError(f"{path} is not an HDF5 file: {error}") from error
