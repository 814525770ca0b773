"""What a checkpoint's JSON files say of special tokens, chat and defaults reaches the manifest."""

from pathlib import Path
from typing import Any

import pytest

from contract.manifest import GenerationDefaults, SpecialTokens
from export import language
from export.checkpoint import Checkpoint
from tests.export import checkpoints
from tests.export.checkpoints import END


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    checkpoints.edit(tmp_path, "config.json", model_type="any")
    checkpoints.tokenizer(tmp_path / "tokenizer.json")
    return tmp_path


def _read(directory: Path) -> language.Language:
    return language.read(Checkpoint(directory), 257)


def test_nothing_said_is_nothing_assumed(directory: Path) -> None:
    words = _read(directory)
    assert words.special_tokens == SpecialTokens()
    assert words.generation == GenerationDefaults()
    assert words.chat_template is None


@pytest.mark.parametrize("token", [END, {"content": END, "lstrip": False}])
def test_a_special_token_may_be_given_by_its_text(token: Any, directory: Path) -> None:
    checkpoints.edit(directory, "tokenizer_config.json", eos_token=token, bos_token=token)
    texts = {"bos_token": END, "eos_token": END}
    assert _read(directory).special_tokens == SpecialTokens(bos=256, eos=(256,), texts=texts)


def test_an_id_counts_before_a_text(directory: Path) -> None:
    checkpoints.edit(directory, "tokenizer_config.json", eos_token=END)
    checkpoints.edit(directory, "config.json", eos_token_id=3, pad_token_id=4)
    assert _read(directory).special_tokens == SpecialTokens(eos=(3,), pad=4, texts={"eos_token": END})


def test_generation_config_may_name_several_ends(directory: Path) -> None:
    checkpoints.edit(directory, "config.json", eos_token_id=3)
    checkpoints.edit(directory, "generation_config.json", eos_token_id=[5, 6])
    assert _read(directory).special_tokens.eos == (5, 6)


def test_generation_defaults_are_carried(directory: Path) -> None:
    settings = {
        "temperature": 0.7,
        "top_k": 40,
        "top_p": 0.9,
        "min_p": 0.05,
        "repetition_penalty": 1.2,
        "max_new_tokens": 99,
    }
    checkpoints.edit(directory, "generation_config.json", **settings)
    assert _read(directory).generation == GenerationDefaults(0.7, 40, 0.9, 0.05, 1.2, 99)


def test_null_is_nothing_said(directory: Path) -> None:
    checkpoints.edit(directory, "generation_config.json", temperature=None, max_new_tokens=None)
    assert _read(directory).generation == GenerationDefaults()


def test_no_sampling_is_temperature_zero(directory: Path) -> None:
    checkpoints.edit(directory, "generation_config.json", do_sample=False, temperature=0.7)
    assert _read(directory).generation.temperature == 0


def test_a_template_may_lie_in_a_file_of_its_own(directory: Path) -> None:
    checkpoints.edit(directory, "tokenizer_config.json", chat_template="old")
    (directory / "chat_template.jinja").write_text("new")
    assert _read(directory).chat_template == "new"


def test_of_several_templates_the_default_is_taken(directory: Path) -> None:
    templates = [{"name": "tools", "template": "a"}, {"name": "default", "template": "b"}]
    checkpoints.edit(directory, "tokenizer_config.json", chat_template=templates)
    assert _read(directory).chat_template == "b"
