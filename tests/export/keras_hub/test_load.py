"""The settings that presets may have, and how the context length is chosen."""

import json
from pathlib import Path

import pytest

from export.checkpoints.checkpoint import Checkpoint
from export.errors import SourceError, UnsupportedError
from export.keras_hub.load import SEQUENCE_LENGTH, describe_preset
from tests.export.keras_hub import presets


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    return presets.write(tmp_path / "llama", "llama")


def change(directory: Path, **settings: object) -> Path:
    config = json.loads((directory / "config.json").read_text())
    config["config"] |= settings
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def context(directory: Path, asked: int | None = None) -> int:
    return describe_preset(Checkpoint(directory), asked)[0].context_length


def test_the_context_is_what_the_preprocessor_packs_where_positions_have_no_end(llama: Path) -> None:
    assert context(llama) == presets.CONTEXT
    assert context(llama, 100_000) == 100_000


def test_without_preprocessor_the_context_is_kerashubs_default(llama: Path) -> None:
    (llama / "preprocessor.json").unlink()
    assert context(llama) == SEQUENCE_LENGTH
    assert context(llama, 64) == 64


def test_learned_positions_end(tmp_path: Path) -> None:
    directory = presets.write(tmp_path / "gpt2", "gpt2")
    assert context(directory) == presets.CONTEXT
    with pytest.raises(UnsupportedError, match="not between 1 and the 128 tokens"):
        context(directory, 129)


def test_an_unknown_backbone_is_named(llama: Path) -> None:
    config = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps(config | {"class_name": "BertBackbone"}))
    with pytest.raises(UnsupportedError, match=r"'BertBackbone' is not supported; supported: GPT2Backbone"):
        context(llama)


def test_a_checkpoint_of_another_library_is_named(llama: Path) -> None:
    (llama / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UnsupportedError, match="class_name None"):
        context(llama)


def test_an_unknown_setting_is_refused_unless_it_is_ignored(llama: Path) -> None:
    change(llama, attention_sink=4)
    with pytest.raises(UnsupportedError, match="attention_sink = 4"):
        context(llama)
    describe_preset(Checkpoint(llama), ignored=["attention_sink"])


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("llama", "rope_position_scaling_factor", 2.0),
        ("gemma", "query_head_dim_normalize", False),
        ("gemma", "layer_norm_epsilon", 1e-5),
        ("gemma3", "vision_encoder", {"class_name": "Gemma3VisionEncoder"}),
        ("gemma3", "use_bidirectional_attention", True),
    ],
)
def test_a_setting_that_would_change_the_result_is_refused(
    tmp_path: Path, name: str, setting: str, value: object
) -> None:
    directory = change(presets.write(tmp_path / name, name), **{setting: value})
    with pytest.raises(UnsupportedError, match=setting):
        context(directory)


def test_frequencies_are_adjusted_by_all_four_settings_or_none(llama: Path) -> None:
    change(llama, rope_low_freq_factor=1.0)
    with pytest.raises(SourceError, match="rope_frequency_adjustment_factor is missing"):
        context(llama)
