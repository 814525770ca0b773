"""The verifier of pools finds what is wrong: other weights, a slot that is not its own, a forgotten past."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from export import cli, resident_verify, write
from export.errors import VerificationError
from export.pool_view import View
from export.resident_verify import Figures
from export.servable import Forward, Resident, Servable
from tests.export import residents

Change = Callable[[Forward], Forward]


@pytest.fixture
def servable(tmp_path: Path) -> Servable:
    return residents.golden(tmp_path / "golden", "small")


def _export(servable: Servable, base: Path) -> None:
    write.write(servable, base, None, lambda path: resident_verify.verify(path, servable))


def _changed(servable: Servable, change: Change) -> Servable:
    model = servable.step
    assert isinstance(model, Resident)
    return replace(servable, step=replace(model, forward=change(model.forward)))


def test_another_models_choices_are_found(servable: Servable, tmp_path: Path) -> None:
    wrong = replace(servable, reference=lambda texts: [np.eye(300)[np.full(len(ids), 7)] for ids in texts])
    with pytest.raises(VerificationError, match=r"^alone: a chosen token lies 1.00e\+00 below"):
        _export(wrong, tmp_path / "models")
    assert not (tmp_path / "models" / "small").exists()


def test_positions_that_start_anew_with_each_piece_are_found(servable: Servable, tmp_path: Path) -> None:
    def forgetful(forward: Forward) -> Forward:
        return lambda tokens, starts, places, view: forward(tokens, starts * 0, places, view)

    with pytest.raises(VerificationError, match="below the reference's"):
        _export(_changed(servable, forgetful), tmp_path / "models")


def test_padding_that_leaks_into_shorter_rows_is_found(servable: Servable, tmp_path: Path) -> None:
    def leaking(forward: Forward) -> Forward:
        def whole_rows(tokens: tf.Tensor, starts: tf.Tensor, places: tf.Tensor, view: View) -> tf.Tensor:
            steps = tf.shape(tokens)[1]
            return forward(tokens, starts, places // steps * steps + steps - 1, view)

        return whole_rows

    with pytest.raises(VerificationError, match="ragged batch"):
        _export(_changed(servable, leaking), tmp_path / "models")


def test_inexact_servables_are_only_measured() -> None:
    figures = {"alone": Figures(0.5, 0.9)}
    resident_verify.check(figures, np.inf)
    with pytest.raises(VerificationError, match=r"5\.00e-01"):
        resident_verify.check(figures, resident_verify.TOLERANCE)


def test_choices_that_are_no_numbers_are_found_in_any_dtype() -> None:
    with pytest.raises(VerificationError, match="nan"):
        resident_verify.check({"alone": Figures(np.nan, 0.0)}, np.inf)


def test_the_command_line_exports_resident_state(gpt2_checkpoint: Path, tmp_path: Path) -> None:
    argv = ["hf", str(gpt2_checkpoint), "--out", str(tmp_path / "models"), "--state", "resident"]
    assert cli.main(argv) == 0
    assert (tmp_path / "models" / "gpt2" / "1" / "saved_model.pb").exists()
