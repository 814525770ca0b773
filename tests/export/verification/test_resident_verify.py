"""The verifier of pools finds what is wrong: other weights, a slot that is not its own, a forgotten past."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from contract.manifest import Pool
from export import cli
from export.errors import VerificationError
from export.saved_model import write
from export.saved_model.published import PublishedVersion
from export.signatures.pool_view import PoolView
from export.signatures.servable import ExportedModel, ResidentForward, ResidentModel
from export.verification import resident_runner, verify
from tests.export import residents

OPTIONS = verify.VerificationOptions(tokens=4)
Change = Callable[[ResidentForward], ResidentForward]


@pytest.fixture
def servable(tmp_path: Path) -> ExportedModel:
    return residents.golden(tmp_path / "golden", "small")


def _export(servable: ExportedModel, base: Path) -> None:
    write.write(servable, base, None, lambda path: verify.verify(path, servable))


def _changed(servable: ExportedModel, change: Change) -> ExportedModel:
    model = servable.step
    assert isinstance(model, ResidentModel)
    return replace(servable, step=replace(model, forward=change(model.forward)), reference=None)


def _forgets(forward: ResidentForward) -> ResidentForward:
    def run(tokens: tf.Tensor, positions: tf.Tensor, places: tf.Tensor, view: PoolView) -> tf.Tensor:
        return forward(tokens, positions - tf.reduce_min(positions), places, view)

    return run


def test_another_models_probabilities_are_found(pools: Path) -> None:
    wrong = verify.verify_version(
        PublishedVersion(pools), lambda texts, last=0: [np.zeros((last, 300))] * len(texts), OPTIONS
    )
    with pytest.raises(
        VerificationError, match=r"^reference: max abs error .* of 'log-probabilities' is above"
    ):
        wrong.check()


def test_logits_that_are_all_shifted_are_the_same_probabilities(servable: ExportedModel, pools: Path) -> None:
    reference = servable.reference
    assert reference is not None
    shifted = verify.verify_version(
        PublishedVersion(pools), lambda texts, last=0: [7 + each for each in reference(texts, last)], OPTIONS
    )
    shifted.check()
    assert shifted.measured.scores["reference"].agreement == 1


def test_no_version_is_left_of_one_that_is_found_wrong(servable: ExportedModel, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"^prefill and decode: max abs error"):
        _export(_changed(servable, _forgets), tmp_path / "models")
    assert not (tmp_path / "models" / "small").exists()


def _forgets_between_pieces(forward: ResidentForward) -> ResidentForward:
    def run(tokens: tf.Tensor, positions: tf.Tensor, places: tf.Tensor, view: PoolView) -> tf.Tensor:
        prefills = len(view.groups) > 1
        first = tf.reduce_min(positions) if prefills else 0
        return forward(tokens, positions - first, places, view)

    return run


def _confuses_rows(forward: ResidentForward) -> ResidentForward:
    def run(tokens: tf.Tensor, positions: tf.Tensor, places: tf.Tensor, view: PoolView) -> tf.Tensor:
        rows = tf.size(view.groups[-1].pieces.ends)
        return forward(tokens, positions, tf.where(rows > 1, places[::-1], places), view)

    return run


@pytest.mark.parametrize(
    ("change", "claim"),
    [
        (_forgets_between_pieces, "in pieces"),
        (_confuses_rows, "ragged batch"),
    ],
)
def test_a_pool_that_is_misread_is_found(
    change: Change, claim: str, servable: ExportedModel, tmp_path: Path
) -> None:
    with pytest.raises(VerificationError, match=f"^{claim}: max abs error"):
        _export(_changed(servable, change), tmp_path / "models")


def test_a_probability_that_is_nan_is_found_in_any_dtype(servable: ExportedModel, tmp_path: Path) -> None:
    broken = [np.nan, *[0.0] * 299]
    wrong = _changed(servable, lambda forward: lambda *given: forward(*given) + broken)
    with pytest.raises(VerificationError, match="are NaN"):
        _export(replace(wrong, exact=False), tmp_path / "models")


def test_later_blocks_have_slots_for_the_texts_that_reach_them_alone() -> None:
    pool = Pool(bytes_per_block=1, block_size=32, blocks=4, max_steps=64)
    assert resident_runner.slots_per_block(pool, [[17, 23, 40], [17, 50, 70]]) == [3, 2, 2, 0]


def test_rows_of_a_call_are_as_many_as_the_pool_may_have_memory_for() -> None:
    pool = Pool(bytes_per_block=30 << 20, block_size=32, blocks=4, max_steps=64)
    assert [resident_runner.max_rows(pool, length) for length in (32, 64, 128)] == [4, 2, 2]


def test_the_command_line_exports_resident_state(gpt2_checkpoint: Path, tmp_path: Path) -> None:
    argv = ["hf", str(gpt2_checkpoint), "--out", str(tmp_path / "models"), "--state", "resident"]
    assert cli.main(argv) == 0
    assert (tmp_path / "models" / "gpt2" / "1" / "saved_model.pb").exists()
