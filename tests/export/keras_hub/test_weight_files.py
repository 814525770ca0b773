"""Reading HDF5 files of weights, and their errors."""

import json
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest

from export.checkpoints.checkpoint import Checkpoint
from export.errors import ShapeError, SourceError, UnsupportedError
from export.keras_hub.weight_files import WeightFiles

PATH = "layers/dense/vars/0"
VALUE = np.array([[0.5, -2.0], [3.0, 0.125]], np.float32)


def written(directory: Path, value: np.ndarray, path: str = PATH) -> WeightFiles:
    with h5py.File(directory / "model.weights.h5", "a") as file:
        file[path] = value
    return WeightFiles(Checkpoint(directory))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_floating_tensors_are_read_as_they_are(tmp_path: Path, dtype: str) -> None:
    files = written(tmp_path, VALUE.astype(dtype))
    files.require({PATH: (2, 2)})
    assert files.read(PATH, (2, 2)).dtype == dtype
    assert files.read(PATH, (2, 2)).tolist() == VALUE.tolist()


def test_bfloat16_is_recognized_by_an_attribute(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file.create_dataset(PATH, data=VALUE.astype(ml_dtypes.bfloat16).view("V2")).attrs["dtype"] = (
            "bfloat16"
        )
    files = WeightFiles(Checkpoint(tmp_path))
    files.require({PATH: (2, 2)})
    assert files.read(PATH, (2, 2)).dtype == ml_dtypes.bfloat16
    assert files.read(PATH, (2, 2)).astype(np.float32).tolist() == VALUE.tolist()


def test_quantized_weights_are_refused_as_such(tmp_path: Path) -> None:
    written(tmp_path, np.ones(2, np.float32), "layers/a/vars/1")
    with pytest.raises(UnsupportedError, match=f"{PATH} has dtype int8; supported: float64"):
        written(tmp_path, VALUE.astype(np.int8)).require({PATH: (2, 2)})


def test_tensors_that_lie_elsewhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(16))
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file.create_dataset(PATH, (2, 2), np.float32, external=[(str(tmp_path / "secret"), 0, 16)])
    with pytest.raises(UnsupportedError, match=f"{PATH} lies in another file"):
        WeightFiles(Checkpoint(tmp_path)).require({PATH: (2, 2)})


def test_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=r"has shape \(2, 2\); the configuration asks for \(4,\)"):
        written(tmp_path, VALUE).require({PATH: (4,)})


def test_missing_and_surplus_tensors_are_named(tmp_path: Path) -> None:
    files = written(tmp_path, VALUE)
    with pytest.raises(SourceError, match=f"{PATH} has no place"):
        files.require({})
    with pytest.raises(SourceError, match="layers/other/vars/0 is missing"):
        files.require({PATH: (2, 2), "layers/other/vars/0": (1,)})


def test_the_state_of_dropout_is_not_a_weight(tmp_path: Path) -> None:
    written(tmp_path, VALUE)
    state = np.zeros(2, np.uint32)
    written(tmp_path, state, "layers/dropout/seed_generator/vars/0").require({PATH: (2, 2)})


def test_paths_of_older_versions_of_keras_are_the_same(tmp_path: Path) -> None:
    path = "_layer_checkpoint_dependencies/_dense/vars/0"
    written(tmp_path, VALUE, path).require({PATH: (2, 2)})


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"model.weights.h5 is missing"):
        WeightFiles(Checkpoint(tmp_path))
    (tmp_path / "model.weights.json").write_text(
        json.dumps({"weight_map": {"/a/vars": ["one.h5", "two.h5"]}})
    )
    with pytest.raises(SourceError, match=r"one.h5 is missing"):
        WeightFiles(Checkpoint(tmp_path))


def test_a_file_that_is_not_hdf5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.weights.h5").write_bytes(b"no weights")
    with pytest.raises(SourceError, match="not an HDF5 file"):
        WeightFiles(Checkpoint(tmp_path))
