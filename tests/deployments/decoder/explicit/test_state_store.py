from dataclasses import replace

import numpy as np
import pytest

from contract.errors import TensorError
from contract.manifest import Manifest, StateTensor
from deployments.decoder.explicit.state_store import StateStore

MANIFEST = Manifest(
    name="m",
    family="f",
    vocabulary_size=8,
    context_length=16,
    state=(
        StateTensor("h", "float32", (2,), initial=0.5),
        StateTensor("keys", "float32", (3, 0), growth_axis=1),
    ),
)


def outputs(batch: int, width: int, value: float) -> dict[str, np.ndarray]:
    keys = np.full((batch, 3, width), value, np.float32) + np.arange(width, dtype=np.float32)
    return {"h": np.full((batch, 2), value, np.float32), "keys": keys}


def test_state_begins_as_the_manifest_says():
    store = StateStore(MANIFEST)
    store.create("a", capacity=4)
    stacked = store.stack(["a"])
    assert stacked["h"].tolist() == [[0.5, 0.5]]
    assert stacked["keys"].shape == (1, 3, 0)


def test_growing_state_takes_the_valid_entries_and_pads_shorter_rows_with_zeros():
    store = StateStore(MANIFEST)
    store.create("a", capacity=4)
    store.create("b", capacity=4)
    store.update(["a", "b"], [3, 1], 3, outputs(2, 3, 10.0))
    store.update(["a"], [1], 1, outputs(1, 1, 50.0))
    stacked = store.stack(["b", "a"])
    keys = np.asarray(stacked["keys"])
    assert keys[0].tolist() == [[10, 0, 0, 0]] * 3
    assert keys[1].tolist() == [[10, 11, 12, 50]] * 3
    assert stacked["h"].tolist() == [[10, 10], [50, 50]]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("shape", "axis"), [((0, 3, 2), 0), ((3, 0, 2), 1), ((3, 2, 0), 2)])
def test_growing_state_is_stacked_along_any_axis_and_in_its_own_dtype(shape, axis, dtype):
    tensor = StateTensor("past", dtype, shape, growth_axis=axis)
    store = StateStore(replace(MANIFEST, state=(tensor,)))
    counts = {"a": 3, "b": 5}
    entries = {}
    for owner, count in counts.items():
        store.create(owner, capacity=8)
        sizes = (1, *shape[:axis], 5, *shape[axis + 1 :])
        output = np.random.default_rng(count).normal(size=sizes).astype(tensor.numpy_dtype)
        store.update([owner], [count], 5, {"past": output})
        entries[owner] = output[0].take(range(count), axis)
    stacked = np.asarray(store.stack(["a", "b"])["past"])
    assert stacked.dtype == tensor.numpy_dtype
    assert (stacked[0].take(range(3), axis) == entries["a"]).all()
    assert not stacked[0].take(range(3, 5), axis).any()
    assert (stacked[1] == entries["b"]).all()


def test_rows_that_were_dropped_while_the_call_ran_are_passed_over():
    store = StateStore(MANIFEST)
    store.create("a", capacity=4)
    store.create("b", capacity=4)
    store.drop("a")
    store.update(["a", "b"], [1, 1], 1, outputs(2, 1, 1.0))
    assert "a" not in store
    assert len(store) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"h": np.zeros((1, 3), np.float32)}, r"h came as \[1, 3\]; the manifest says \[1, 2\]"),
        ({"h": np.zeros((1, 2), np.float64)}, "h came as float64; the manifest says float32"),
        (
            {"keys": np.zeros((1, 3, 2), np.float32)},
            r"keys came as \[1, 3, 2\]; the manifest says \[1, 3, 1\]",
        ),
    ],
)
def test_an_output_that_breaks_the_manifest_is_named_and_changes_nothing(change, message):
    store = StateStore(MANIFEST)
    store.create("a", capacity=4)
    with pytest.raises(TensorError, match=message):
        store.update(["a"], [1], 1, outputs(1, 1, 1.0) | change)
    assert store.stack(["a"])["h"].tolist() == [[0.5, 0.5]]


def test_a_missing_output_is_named():
    store = StateStore(MANIFEST)
    store.create("a", capacity=4)
    with pytest.raises(TensorError, match="lack state tensor 'keys'"):
        store.update(["a"], [1], 1, {"h": np.zeros((1, 2), np.float32)})
