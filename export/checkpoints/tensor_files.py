"""Tensors in safetensors files, each read on demand.

They are read, not mapped: the pages of a mapped file would count as memory of the process, up to the size of
the checkpoint.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from contract.tensors import Shape
from export.errors import ShapeError, SourceError, UnsupportedError

DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}


class TensorPlace(NamedTuple):
    """The position of a tensor in its file, with its dtype and shape."""

    dtype: str
    shape: Shape
    begin: int
    """The offset from the beginning of the file, in bytes."""


def places(path: Path) -> dict[str, TensorPlace]:
    """Returns the places of all tensors in a file by name; raises SourceError when it is not safetensors."""
    try:
        # The library checks the header: each tensor lies within the file and has the size of its shape.
        with safe_open(path, "np"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (SafetensorError, OSError) as error:
        raise SourceError(f"{path} is not a safetensors file: {error}") from error
    header.pop("__metadata__", None)
    return {
        name: TensorPlace(entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
    }


class TensorFiles:
    """Tensors by the names that a model gives them; the names in the files may differ."""

    def __init__(self, files: Mapping[str, tuple[Path, str]]) -> None:
        """`files` maps each name to the file and the name in the file."""
        self._files = files
        self._places: dict[Path, dict[str, TensorPlace]] = {}

    def check(self, name: str, shape: Shape) -> None:
        """Checks a tensor's shape and dtype without reading its values.

        Raises ShapeError for another shape, UnsupportedError for a dtype that is not floating, SourceError
        when the file does not hold the tensor.
        """
        path, stored = self._files[name]
        place = self._place(name)
        if place.shape != shape:
            raise ShapeError(
                f"{path}: tensor {stored} has shape {place.shape}; the configuration asks for {shape}"
            )
        if place.dtype not in DTYPES:
            raise UnsupportedError(
                f"{path}: tensor {stored} has dtype {place.dtype}; supported: {', '.join(DTYPES)}"
            )

    def read(self, name: str, shape: Shape) -> npt.NDArray[Any]:
        """Returns a tensor in the dtype of the file; raises SourceError when it cannot be read."""
        path, stored = self._files[name]
        place = self._place(name)
        assert place.shape == shape, "check() checks the shape"
        value = np.empty(shape, DTYPES[place.dtype])
        try:
            with path.open("rb") as file:
                file.seek(place.begin)
                read = file.readinto(value.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise SourceError(f"{path}: tensor {stored} cannot be read: {error.strerror}") from error
        if read != value.nbytes:
            raise SourceError(f"{path}: tensor {stored} cannot be read: the file has become shorter")
        return value

    def _place(self, name: str) -> TensorPlace:
        path, stored = self._files[name]
        if path not in self._places:
            self._places[path] = places(path)
        if stored not in self._places[path]:
            raise SourceError(f"{path}: there is no tensor {stored}, which the index names")
        return self._places[path][stored]
