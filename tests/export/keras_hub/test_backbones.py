"""Exported presets compute what KerasHub computes, which is recorded in golden files."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from export import cli
from export.keras_hub.load import load_preset
from export.options import ExportOptions
from export.saved_model import write
from export.signatures.servable import ExportedModel
from export.verification.pool_stepper import PoolStepper
from tests.export import residents
from tests.export.keras_hub import presets

CASES = tuple(presets.cases())
VOCABULARY = 400
TOLERANCE = 1e-4

Ids = npt.NDArray[np.int32]
Logits = npt.NDArray[np.float32]
Golden = dict[str, npt.NDArray[Any]]


@pytest.fixture(scope="module")
def golden() -> Golden:
    with np.load(presets.GOLDEN / "golden.npz") as file:
        return dict(file)


@pytest.mark.parametrize("name", CASES)
def test_logits_at_every_position_and_64_greedy_ids_are_kerashubs(
    tmp_path: Path, golden: Golden, name: str
) -> None:
    servable = load_preset(presets.write(tmp_path / name, name), name, ExportOptions())
    continued = golden[f"{name}/continued"]
    logits = _logits(servable, np.concatenate([presets.prompt(VOCABULARY), continued[:-1]]))
    _assert_golden(logits, golden, name)
    assert logits[presets.PROMPT - 1 :].argmax(axis=1).tolist() == continued.tolist()


@pytest.mark.parametrize("name", ["gpt2", "gemma2"])
def test_the_reference_computes_what_kerashub_computes(tmp_path: Path, golden: Golden, name: str) -> None:
    servable = load_preset(presets.write(tmp_path / name, name), name, ExportOptions())
    assert servable.reference is not None
    _assert_golden(servable.reference([presets.prompt(VOCABULARY)])[0], golden, name)


def test_weights_in_several_files_are_the_same_model(tmp_path: Path, golden: Golden) -> None:
    directory = presets.write(tmp_path / "llama", "llama", sharded=True)
    assert len(list(directory.glob("*.h5"))) > 2
    servable = load_preset(directory, "llama", ExportOptions())
    _assert_golden(_logits(servable, presets.prompt(VOCABULARY)), golden, "llama")


def test_a_resident_servable_chooses_kerashubs_64_ids(tmp_path: Path, golden: Golden) -> None:
    directory = presets.write(tmp_path / "mistral", "mistral")
    servable = load_preset(
        directory, "mistral", ExportOptions("float32", "resident", block_size=residents.BLOCK_SIZE)
    )
    stepper = PoolStepper(write.write(servable, tmp_path / "models", None, lambda _: None))
    stepper.claim(1)
    chosen = residents.generate(stepper, [presets.prompt(VOCABULARY)], presets.CONTINUED)
    assert chosen[0] == golden["mistral/continued"].tolist()


def test_the_command_publishes_a_verified_servable(tmp_path: Path) -> None:
    directory = presets.write(tmp_path / "llama3", "llama3")
    argv = ["keras-hub", str(directory), "--out", str(tmp_path / "models"), "--state", "explicit"]
    assert cli.main([*argv, "--context", "96", "--name", "small"]) == 0
    assert (tmp_path / "models/small/1/saved_model.pb").exists()


def _logits(servable: ExportedModel, text: Ids) -> Logits:
    """Returns the logits after each token of `text`, from one call with a row for each prefix."""
    lengths = np.arange(1, len(text) + 1, dtype=np.int32)
    state = {each.name: tf.zeros((len(text), *each.shape), each.dtype) for each in servable.manifest.state}
    assert callable(servable.step)
    tokens = tf.constant(np.tile(text, (len(text), 1)))
    logits: Logits = servable.step(tokens=tokens, lengths=tf.constant(lengths), **state)["logits"].numpy()
    return logits


def _assert_golden(logits: Logits, golden: Golden, name: str) -> None:
    some = logits[: presets.PROMPT, :: presets.EVERY]
    np.testing.assert_allclose(some, golden[f"{name}/logits"], atol=TOLERANCE)
