"""The GPT-2 exporter against the transformers library (golden files) and against the contract."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.checkpoints.checkpoint import Checkpoint
from export.hf.load import describe_checkpoint
from export.reference.transformer import TransformerReference
from export.verification.stepper import Stepper
from tests.export import golden_files, samples

LENGTHS = (1, 7, 33, 130)


@pytest.mark.parametrize("length", LENGTHS)
def test_prefill_gives_the_librarys_logits(
    golden_stepper: Stepper, answers: dict[str, Any], length: int
) -> None:
    result = golden_stepper.run([answers[f"prompt_{length}"]])[0]
    assert np.abs(result.logits - answers[f"logits_{length}"][-1]).max() <= 1e-4


def test_decoding_token_by_token_gives_the_librarys_logits_at_every_position(
    golden_stepper: Stepper, answers: dict[str, Any]
) -> None:
    state = golden_stepper.fresh()
    for token, expected in zip(answers["prompt_130"], answers["logits_130"], strict=True):
        result = golden_stepper.run([np.array([token], np.int32)], [state])[0]
        assert np.abs(result.logits - expected).max() <= 1e-4
        state = result.state


def test_greedy_decoding_chooses_the_librarys_64_ids(
    golden_stepper: Stepper, answers: dict[str, Any]
) -> None:
    assert golden_stepper.greedy(answers["prompt_7"], 64) == answers["greedy"].tolist()


def test_the_plain_reference_gives_the_librarys_logits(
    golden: str, answers: dict[str, Any], tmp_path: Path
) -> None:
    directory = samples.golden(tmp_path / golden, golden)
    model, sources, read = describe_checkpoint(Checkpoint(directory))
    (logits,) = TransformerReference(model, sources, read)([answers["prompt_130"]])
    assert np.abs(logits - answers["logits_130"]).max() <= 1e-4


def test_rows_with_ragged_pasts_and_prompts_give_what_each_gives_alone(
    golden_stepper: Stepper, answers: dict[str, Any]
) -> None:
    prompts = [answers[f"prompt_{length}"] for length in LENGTHS]
    middles = [len(prompt) // 2 for prompt in prompts]
    pasts = [
        golden_stepper.run([prompt[:middle]])[0].state if middle else golden_stepper.fresh()
        for prompt, middle in zip(prompts, middles, strict=True)
    ]
    rests = [prompt[middle:] for prompt, middle in zip(prompts, middles, strict=True)]
    for length, result in zip(LENGTHS, golden_stepper.run(rests, pasts), strict=True):
        assert np.abs(result.logits - answers[f"logits_{length}"][-1]).max() <= 1e-4
        assert result.state["position"] == length
        assert len(result.state["past_keys"]) == length


def test_the_manifest_declares_time_major_keys_and_values(golden_stepper: Stepper) -> None:
    position, keys, values = golden_stepper.manifest.state
    assert (position.name, position.dtype, position.shape, position.grows) == ("position", "int32", (), False)
    assert [keys.name, values.name] == ["past_keys", "past_values"]
    assert keys.growth_axis == values.growth_axis == 0
    assert keys.shape == values.shape
    assert keys.shape[0] == 0


def test_bfloat16_keeps_keys_in_bfloat16_and_stays_near_the_library(bfloat16_stepper: Stepper) -> None:
    answers = golden_files.read(samples.GOLDEN, "small").answers
    result = bfloat16_stepper.run([answers["prompt_33"]])[0]
    expected = answers["logits_33"][-1]
    assert result.state["past_keys"].dtype == ml_dtypes.bfloat16
    assert result.logits.dtype == np.float32
    assert np.abs(result.logits - expected).max() < 0.05 * np.abs(expected).max()


def test_a_full_context_can_be_used(golden_stepper: Stepper) -> None:
    length = golden_stepper.manifest.context_length
    ids = np.arange(length, dtype=np.int32) % golden_stepper.manifest.vocabulary_size
    assert np.isfinite(golden_stepper.run([ids])[0].logits).all()


def test_shards_half_precision_and_bare_names_read_as_the_same_weights(gpt2_checkpoint: Path) -> None:
    before = _weights(gpt2_checkpoint)
    tensors = load_file(gpt2_checkpoint / "model.safetensors")
    _shard(gpt2_checkpoint, {f"transformer.{name}": v.astype(np.float16) for name, v in tensors.items()})
    after = _weights(gpt2_checkpoint)
    assert after.keys() == before.keys()
    assert all(np.array_equal(after[name], before[name].astype(np.float16)) for name in before)


def test_buffers_and_the_tied_head_are_not_weights(gpt2_checkpoint: Path) -> None:
    path = gpt2_checkpoint / "model.safetensors"
    tensors = load_file(path)
    tensors["h.0.attn.bias"] = np.ones((1, 1, 64, 64), np.float32)
    tensors["lm_head.weight"] = tensors["wte.weight"]
    save_file(tensors, path)
    assert "head.kernel" not in _weights(gpt2_checkpoint)


def _weights(directory: Path) -> dict[str, Any]:
    _, sources, read = describe_checkpoint(Checkpoint(directory))
    return {name: source.read(read) for name, source in sources.items()}


def _shard(directory: Path, tensors: dict[str, Any]) -> None:
    """Writes `tensors` to two files and an index."""
    (directory / "model.safetensors").unlink()
    names = sorted(tensors)
    files = {"one.safetensors": names[::2], "two.safetensors": names[1::2]}
    for file, part in files.items():
        save_file({name: tensors[name] for name in part}, directory / file)
    weight_map = {name: file for file, part in files.items() for name in part}
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
