"""Special tokens, chat template and defaults are read from a checkpoint's JSON files."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from contract.manifest import GenerationDefaults, SpecialTokens
from export.checkpoints.checkpoint import Checkpoint
from export.errors import SourceError, UnsupportedError
from export.language.read import Language, read_language
from tests.export import samples
from tests.export.samples import END


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    samples.edit(tmp_path, "config.json", model_type="any")
    samples.tokenizer(tmp_path / "tokenizer.json")
    return tmp_path


def _read(directory: Path) -> Language:
    return read_language(Checkpoint(directory), 257)


def _tokenizer(directory: Path) -> Tokenizer:
    return Tokenizer.from_buffer(_read(directory).tokenizer)


def test_without_files_nothing_is_assumed(directory: Path) -> None:
    language = _read(directory)
    assert language.special_tokens == SpecialTokens()
    assert language.generation == GenerationDefaults()
    assert language.chat_template is None


@pytest.mark.parametrize("token", [END, {"content": END, "lstrip": False}])
def test_a_special_token_may_be_given_by_its_text(token: Any, directory: Path) -> None:
    samples.edit(directory, "tokenizer_config.json", eos_token=token, bos_token=token)
    texts = {"bos_token": END, "eos_token": END}
    assert _read(directory).special_tokens == SpecialTokens(bos=256, eos=(256,), texts=texts)


def test_an_id_counts_before_a_text(directory: Path) -> None:
    samples.edit(directory, "tokenizer_config.json", eos_token=END)
    samples.edit(directory, "config.json", eos_token_id=3, pad_token_id=4)
    assert _read(directory).special_tokens == SpecialTokens(eos=(3,), pad=4, texts={"eos_token": END})


def test_generation_config_may_name_several_ends(directory: Path) -> None:
    samples.edit(directory, "config.json", eos_token_id=3)
    samples.edit(directory, "generation_config.json", eos_token_id=[5, 6])
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
    samples.edit(directory, "generation_config.json", **settings)
    assert _read(directory).generation == GenerationDefaults(0.7, 40, 0.9, 0.05, 1.2, 99)


def test_null_is_the_same_as_no_setting(directory: Path) -> None:
    samples.edit(directory, "generation_config.json", temperature=None, max_new_tokens=None)
    assert _read(directory).generation == GenerationDefaults()


def test_no_sampling_is_temperature_zero(directory: Path) -> None:
    samples.edit(directory, "generation_config.json", do_sample=False, temperature=0.7)
    assert _read(directory).generation.temperature == 0


def test_a_template_may_lie_in_a_file_of_its_own(directory: Path) -> None:
    samples.edit(directory, "tokenizer_config.json", chat_template="old")
    (directory / "chat_template.jinja").write_text("new")
    assert _read(directory).chat_template == "new"


def test_of_several_templates_the_default_is_taken(directory: Path) -> None:
    templates = [{"name": "tools", "template": "a"}, {"name": "default", "template": "b"}]
    samples.edit(directory, "tokenizer_config.json", chat_template=templates)
    assert _read(directory).chat_template == "b"


def test_templates_may_lie_in_a_directory(directory: Path) -> None:
    samples.edit(directory, "tokenizer_config.json", chat_template="old")
    (directory / "additional_chat_templates").mkdir()
    (directory / "additional_chat_templates" / "default.jinja").write_text("further")
    (directory / "additional_chat_templates" / "tool_use.jinja").write_text("other")
    assert _read(directory).chat_template == "further"


def test_without_a_default_template_there_is_no_chat_and_that_is_logged(directory: Path, caplog: Any) -> None:
    caplog.set_level("INFO", logger="export")
    samples.edit(directory, "tokenizer_config.json", chat_template=[{"name": "rag", "template": "a"}])
    assert _read(directory).chat_template is None
    assert "no chat template: none of the templates (rag) is named default" in caplog.text


def test_a_template_that_is_not_a_string_is_named(directory: Path) -> None:
    samples.edit(directory, "tokenizer_config.json", chat_template=3)
    with pytest.raises(SourceError, match="chat_template must be a string"):
        _read(directory)


def test_templates_find_tokens_by_every_name_that_the_configuration_has(directory: Path) -> None:
    named = {"unk_token": END, "image_token": "<i>", "extra_special_tokens": {"call_token": "<c>"}}
    named["model_specific_special_tokens"] = {"sound_token": "<s>"}
    samples.edit(directory, "tokenizer_config.json", bos_token=None, add_bos_token=True, **named)
    expected = {"unk_token": END, "image_token": "<i>", "call_token": "<c>", "sound_token": "<s>"}
    assert _read(directory).special_tokens.texts == expected


def test_an_older_file_names_tokens_where_no_added_ones_are_listed(directory: Path) -> None:
    samples.edit(directory, "special_tokens_map.json", eos_token={"content": END, "lstrip": False})
    assert _read(directory).special_tokens.eos == (256,)
    samples.edit(directory, "tokenizer_config.json", added_tokens_decoder={})
    assert _read(directory).special_tokens.eos == ()


def test_tokens_that_the_file_lacks_are_added_after_its_own(directory: Path) -> None:
    plain = {"content": "ab", "special": False, "normalized": True}
    samples.edit(directory, "tokenizer_config.json", eos_token="</s>", added_tokens_decoder={"900": plain})
    assert _tokenizer(directory).encode("ab</s>c").ids == [257, 258, 66]


def test_added_tokens_may_lie_beyond_the_models_vocabulary_and_that_is_logged(
    directory: Path, caplog: Any
) -> None:
    caplog.set_level("INFO", logger="export")
    samples.edit(directory, "tokenizer_config.json", additional_special_tokens=["<image>"])
    assert _tokenizer(directory).token_to_id("<image>") == 257
    assert (
        "1 added tokens, such as '<image>', are beyond the model's vocabulary and are refused" in caplog.text
    )


@pytest.mark.parametrize("token", [5, {"text": "a"}, ["a"]])
def test_a_value_that_is_not_a_token_is_named(token: Any, directory: Path) -> None:
    samples.edit(directory, "tokenizer_config.json", bos_token=token)
    with pytest.raises(SourceError, match="is not a token"):
        _read(directory)


@pytest.mark.parametrize("key", ["split_special_tokens", "fix_mistral_regex"])
def test_a_setting_that_would_give_other_ids_is_refused(key: str, directory: Path) -> None:
    samples.edit(directory, "tokenizer_config.json", **{key: True})
    with pytest.raises(UnsupportedError, match=f"{key} = true is not implemented"):
        _read(directory)


def test_without_tokenizer_json_the_message_says_how_to_create_it(directory: Path) -> None:
    (directory / "tokenizer.json").rename(directory / "tokenizer.model")
    with pytest.raises(
        SourceError,
        match=r"create it from tokenizer\.model with transformers: AutoTokenizer, save_pretrained",
    ):
        _read(directory)


def test_settings_that_are_not_applied_are_logged_where_they_would_matter(
    directory: Path, caplog: Any
) -> None:
    caplog.set_level("INFO", logger="export")
    settings = {"num_beams": 4, "typical_p": 1.0, "max_length": 512, "top_h": None, "use_cache": True}
    samples.edit(directory, "generation_config.json", **settings)
    assert _read(directory).generation == GenerationDefaults()
    assert "generation_config.json: not applied: max_length 512, num_beams 4" in caplog.text


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [("temperature", "0.7", "number"), ("top_k", 50.0, "integer"), ("top_p", True, "number")],
)
def test_a_default_of_another_kind_is_named(key: str, value: Any, kind: str, directory: Path) -> None:
    samples.edit(directory, "generation_config.json", **{key: value})
    with pytest.raises(SourceError, match=f"{key} must be of type {kind}, not {value!r}"):
        _read(directory)


def test_null_in_the_generation_configuration_hides_no_id(directory: Path) -> None:
    samples.edit(directory, "config.json", eos_token_id=3)
    samples.edit(directory, "generation_config.json", eos_token_id=None)
    assert _read(directory).special_tokens.eos == (3,)
