"""A model lies in memory once while it is exported, and in its version directory once; pools nowhere."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file
from tensorflow.python.saved_model.loader_impl import parse_saved_model

from export.checkpoints.checkpoint import Checkpoint
from export.checkpoints.tensor_files import TensorFiles
from export.errors import SourceError
from export.hf.load import describe_checkpoint, load_checkpoint
from export.options import ExportOptions
from export.saved_model import write
from export.saved_model.published import PublishedVersion
from export.transformer_model.weights import adopted, forget, variables
from tests.export import samples


def test_no_tensor_stays_once_its_weight_is_made(gpt2_checkpoint: Path) -> None:
    _, sources, read = describe_checkpoint(Checkpoint(gpt2_checkpoint))
    alive: dict[str, Callable[[], Any]] = {}
    most = max(len(source.needs) for source in sources.values())

    def watched(name: str, shape: tuple[int, ...]) -> np.ndarray:
        tensor = read(name, shape)
        alive[name] = weakref.ref(tensor)
        assert sum(ref() is not None for ref in alive.values()) <= most
        return tensor

    made = variables(sources, watched, "float32")
    assert len(alive) > most
    assert not any(ref() is not None for ref in alive.values())
    assert len(made) == len(sources)


def test_files_of_a_checkpoint_are_not_mapped(gpt2_checkpoint: Path) -> None:
    _, sources, read = describe_checkpoint(Checkpoint(gpt2_checkpoint))
    variables(sources, read, "float32")
    assert "model.safetensors" not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
def test_tensors_are_read_as_they_were_written(dtype: type, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    value = np.random.default_rng(0).normal(size=shape).astype(dtype)
    save_file({"before": np.ones(7, np.float32), "x": value}, path)
    read = TensorFiles({"x": (path, "x")}).read("x", shape)
    assert read.dtype == value.dtype
    assert np.array_equal(read, value)


def test_a_file_that_has_become_shorter_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"x": np.ones(100, np.float32)}, path)
    files = TensorFiles({"x": (path, "x")})
    files.check("x", (100,))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 4)
    with pytest.raises(SourceError, match=r"x\.safetensors: tensor x cannot be read: the file has become"):
        files.read("x", (100,))


def test_a_tensor_that_only_the_index_knows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"x": np.ones(1, np.float32)}, path)
    with pytest.raises(SourceError, match=r"there is no tensor y, which the index names"):
        TensorFiles({"y": (path, "y")}).check("y", (1,))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("shape", [(), (3,), (0, 2), (4, 6)])
def test_adopted_values_are_those_that_were_given(dtype: str, shape: tuple[int, ...]) -> None:
    value = 9 * np.random.default_rng(0).normal(size=shape).T
    wanted = tf.cast(value.astype(np.float32), dtype).numpy()
    variable = tf.Variable(adopted(value, dtype))
    assert variable.dtype == dtype
    assert np.array_equal(variable.numpy(), wanted)


def test_what_is_forgotten_has_no_value_whoever_holds_it() -> None:
    variable = tf.Variable(adopted(np.ones((4, 6)), "float32"))
    held = [variable]
    forget([variable])
    assert held[0].numpy().size == 0


def test_weights_are_forgotten_before_what_was_written_is_verified(
    gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    servable = load_checkpoint(gpt2_checkpoint, "tiny", ExportOptions())
    before = sum(weight.numpy().size for weight in servable.weights)
    seen = []
    write.write(servable, tmp_path, None, lambda _: seen.extend(servable.weights))
    assert before == PublishedVersion(tmp_path / "tiny" / "1").parameters
    assert sum(weight.numpy().size for weight in seen) == 0


@pytest.mark.parametrize("layout", ["explicit", "resident"])
def test_weights_lie_in_the_version_directory_once_and_pools_nowhere(
    layout: str, gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    servable = load_checkpoint(gpt2_checkpoint, "tiny", ExportOptions("bfloat16", layout))
    shapes = sorted(tuple(weight.shape) for weight in servable.weights)
    version = PublishedVersion(write.write(servable, tmp_path, None, lambda _: None))
    assert sorted(weight.shape for weight in version.weights) == shapes
    assert version.dtypes[0] == "bfloat16"
    assert version.files()["weights"] < 1.5 * sum(weight.bytes for weight in version.weights) + 10_000
    # A graph may have no more than 2 GB: none of it grows with the model's width.
    longest = samples.GPT2["n_positions"]
    assert max(_constants(version.directory)) <= longest


def _constants(directory: Path) -> list[int]:
    """Elements of each constant in the graph that holds numbers."""
    graph = parse_saved_model(str(directory)).meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    values = (node.attr["value"].tensor for node in nodes if node.op == "Const")
    return [tf.make_ndarray(value).size for value in values]
