"""Tensors in safetensors files, each read when it is asked for.

By plain reads: the pages of a mapped file would count as this process's memory, up to the whole checkpoint.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from export.errors import ShapeError, SourceError, UnsupportedError

DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}

Shape: TypeAlias = tuple[int, ...]


class TensorPlace(NamedTuple):
    """Where a tensor lies in its file."""

    dtype: str
    shape: Shape
    begin: int
    """Byte from the file's beginning."""


def places(path: Path) -> dict[str, TensorPlace]:
    """Of all tensors in a file, by name; SourceError where it is none in this format."""
    try:
        # Looks at the whole header: each tensor lies within the file and has as many bytes as it needs.
        with safe_open(path, "np"):
            pass
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
    except (SafetensorError, OSError) as error:
        raise SourceError(f"{path} is not a safetensors file: {error}") from error
    header.pop("__metadata__", None)
    return {
        name: TensorPlace(said["dtype"], tuple(said["shape"]), 8 + length + said["data_offsets"][0])
        for name, said in header.items()
    }


class TensorFiles:
    """Tensors by the names that a model gives them."""

    def __init__(self, files: Mapping[str, tuple[Path, str]]) -> None:
        """`files` has for each name the file, and the name there."""
        self._files = files
        self._places: dict[Path, dict[str, TensorPlace]] = {}

    def check(self, name: str, shape: Shape) -> None:
        """ShapeError or UnsupportedError where the file says something else; reads no numbers."""
        path, there = self._files[name]
        place = self._place(name)
        if place.shape != shape:
            raise ShapeError(
                f"{path}: tensor {there} has shape {place.shape}; the configuration asks for {shape}"
            )
        if place.dtype not in DTYPES:
            raise UnsupportedError(
                f"{path}: tensor {there} is of {place.dtype}; implemented are {', '.join(DTYPES)}"
            )

    def read(self, name: str, shape: Shape) -> npt.NDArray[Any]:
        path, there = self._files[name]
        place = self._place(name)
        assert place.shape == shape, "checked before"
        value = np.empty(shape, DTYPES[place.dtype])
        try:
            with path.open("rb") as file:
                file.seek(place.begin)
                read = file.readinto(value.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise SourceError(f"{path}: tensor {there} cannot be read: {error.strerror}") from error
        if read != value.nbytes:
            raise SourceError(f"{path}: tensor {there} cannot be read: the file has become shorter")
        return value

    def _place(self, name: str) -> TensorPlace:
        path, there = self._files[name]
        if path not in self._places:
            self._places[path] = places(path)
        if there not in self._places[path]:
            raise SourceError(f"{path}: there is no tensor {there}, which the index names")
        return self._places[path][there]
