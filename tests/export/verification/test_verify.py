"""The verifier finds what is wrong: other weights, padding that leaks, a cache that is misread."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from export.errors import VerificationError
from export.hf.load import load_checkpoint
from export.options import ExportOptions
from export.saved_model import write
from export.saved_model.published import PublishedVersion
from export.signatures.servable import ExportedModel
from export.verification import claims, verify

Change = Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]]


@pytest.fixture
def servable(gpt2_checkpoint: Path) -> ExportedModel:
    return load_checkpoint(gpt2_checkpoint, "tiny", ExportOptions())


def _export(servable: ExportedModel, base: Path) -> None:
    write.write(servable, base, None, lambda path: verify.verify(path, servable))


def _changed(servable: ExportedModel, inputs: Change) -> ExportedModel:
    """`servable` with what goes into its step changed."""

    def step(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        return servable.step(**inputs(given))

    return replace(servable, step=step)


def test_a_sound_servable_passes(servable: ExportedModel, tmp_path: Path) -> None:
    _export(servable, tmp_path)
    assert (tmp_path / "tiny" / "1").is_dir()


def test_another_models_logits_are_found(servable: ExportedModel, tmp_path: Path) -> None:
    reference = servable.reference
    assert reference is not None
    wrong = replace(servable, reference=lambda texts, last: [each + 0.001 for each in reference(texts, last)])
    message = (
        r"^reference: max abs error 1\.\d\de-03 of 'logits' is above 1\.\d\de-04: the reference computes"
    )
    with pytest.raises(VerificationError, match=message):
        _export(wrong, tmp_path)
    assert not (tmp_path / "tiny").exists()


def test_a_forgotten_past_is_found(servable: ExportedModel, tmp_path: Path) -> None:
    forgetful = _changed(servable, lambda given: given | {"past_keys": given["past_keys"] * 0})
    with pytest.raises(VerificationError, match="prefill and decode"):
        _export(replace(forgetful, reference=None), tmp_path)


def test_padding_that_leaks_into_shorter_rows_is_found(servable: ExportedModel, tmp_path: Path) -> None:
    def whole_rows(given: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        longest = tf.ones_like(given["lengths"]) * tf.shape(given["tokens"])[1]
        return given | {"lengths": longest}

    leaking = _changed(servable, whole_rows)
    with pytest.raises(VerificationError, match="ragged batch"):
        _export(replace(leaking, reference=None), tmp_path)


def test_a_step_that_only_fails_in_a_loop_is_found(servable: ExportedModel, tmp_path: Path) -> None:
    """A past that is longer than the row's own entries must not change what comes out."""

    def padded_by_one(given: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        spare = tf.shape(given["past_keys"])[1] > tf.reduce_max(given["position"])
        return given | {"past_keys": given["past_keys"] * tf.where(spare, 0.5, 1.0)}

    misled = _changed(servable, padded_by_one)
    with pytest.raises(VerificationError, match="several steps"):
        _export(replace(misled, reference=None), tmp_path)


def test_logits_that_are_nan_are_found_in_any_dtype(servable: ExportedModel, tmp_path: Path) -> None:
    def step(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = servable.step(**given)
        return answer | {"logits": answer["logits"] * np.nan}

    with pytest.raises(VerificationError, match="nan"):
        _export(replace(servable, step=step, exact=False), tmp_path)


def test_inexact_servables_may_err_but_not_by_another_distribution(
    gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    half = load_checkpoint(gpt2_checkpoint, "half", ExportOptions("bfloat16"))
    _export(half, tmp_path)
    reference = half.reference
    assert reference is not None
    # As sure of everything again: far more than bfloat16 costs, and the likeliest is the likeliest still.
    surer = replace(half, reference=lambda texts, last: [2 * each for each in reference(texts, last)])
    with pytest.raises(
        VerificationError, match=r"^reference: mean KL divergence .* is above 5.00e-02: the ref"
    ):
        verify.verify_version(
            PublishedVersion(tmp_path / "half" / "1"), surer.reference, verify.VerificationOptions()
        ).check()


def test_the_measurements_are_logged_as_a_table(servable: ExportedModel, tmp_path: Path, caplog: Any) -> None:
    caplog.set_level("INFO", logger="export")
    _export(servable, tmp_path)
    lines = [line.split("  ") for line in caplog.text.splitlines()]
    claims = [line[0] for line in lines if len(line) > 1 and "100.0%" in line[-1]]
    assert claims == ["reference", "prefill and decode", "in pieces", "ragged batch", "several steps"]
    assert "prompts of 1, 7, 33, 48 tokens, 16 greedy ones after each; errors of logits" in caplog.text


def test_the_allowed_error_grows_with_the_logits() -> None:
    assert claims.tolerance(0) == pytest.approx(1e-4)
    assert claims.tolerance(100) == pytest.approx(2e-4)
