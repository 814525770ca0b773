"""Tokenizers of presets give KerasHub's ids, which are recorded in golden files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from contract.manifest import SpecialTokens
from export.checkpoints.checkpoint import Checkpoint
from export.errors import SourceError, UnsupportedError
from export.keras_hub import byte_pair, sentence_piece_model
from export.keras_hub.language import read_language
from tests.export import samples
from tests.export.keras_hub import presets

VOCABULARY = 400
NAMES = sorted(path.name for path in presets.TOKENIZERS.iterdir())
PIECES = ("gemma", "llama", "unigram")
SPACED = ("x  y   z", "  both ends  ", "line\n\n  next")


def read(name: str) -> Tokenizer:
    language = read_language(Checkpoint(presets.TOKENIZERS / name), "LlamaBackbone", VOCABULARY, None)
    return Tokenizer.from_buffer(language.tokenizer)


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_kerashubs(name: str) -> None:
    tokenizer = read(name)
    lines = json.loads((presets.TOKENIZERS / name / "lines.json").read_text())
    # The original Llama 3 tokenizer splits numbers into groups of three digits, which KerasHub does not.
    expected = [(line, ids) for line, ids in lines if name != "llama3" or not any(map(str.isdigit, line))]
    assert len(expected) >= 9
    assert [(line, tokenizer.encode(line, add_special_tokens=False).ids) for line, _ in expected] == expected


@pytest.mark.parametrize("name", [name for name in NAMES if name != "unigram"])
@pytest.mark.parametrize("line", SPACED)
def test_ids_become_their_text_again(name: str, line: str) -> None:
    tokenizer = read(name)
    assert tokenizer.decode(tokenizer.encode(line).ids) == line


def test_llama_3_divides_numbers_by_three() -> None:
    split = byte_pair._pre_tokenizer(byte_pair.LLAMA3, False).pre_tokenize_str("it's 12345")
    assert [text for text, _ in split] == ["it", "'s", "Ġ", "123", "45"]


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_begins_as_in_kerashubs_generate(name: str) -> None:
    tokenizer = read(name)
    start = {"gemma": "<bos>", "gpt2": "<|endoftext|>", "llama3": "<|begin_of_text|>"}.get(name, "<s>")
    assert tokenizer.encode("it").tokens[0] == start
    assert tokenizer.decode(tokenizer.encode("it").ids) == "it"


def test_gemmas_own_pieces_are_found_in_texts() -> None:
    tokens = read("gemma").encode("<start_of_turn>user\n\nhi<end_of_turn>").tokens
    assert tokens[1] == "<start_of_turn>"
    assert "\n\n" in tokens
    assert tokens[-1] == "<end_of_turn>"


def test_special_tokens_are_those_of_the_class() -> None:
    language = read_language(Checkpoint(presets.TOKENIZERS / "llama3"), "Llama3Backbone", VOCABULARY, None)
    tokenizer = Tokenizer.from_buffer(language.tokenizer)
    ends = tuple(tokenizer.token_to_id(end) for end in ("<|end_of_text|>", "<|eot_id|>"))
    texts = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
    bos = tokenizer.token_to_id(texts["bos_token"])
    assert language.special_tokens == SpecialTokens(bos, ends, None, texts)


def test_another_tokenizer_may_be_given(tmp_path: Path) -> None:
    samples.tokenizer(tmp_path / "other.json")
    language = read_language(Checkpoint(tmp_path), "GPT2Backbone", VOCABULARY, tmp_path / "other.json")
    assert language.tokenizer == (tmp_path / "other.json").read_bytes()
    texts = dict.fromkeys(("bos_token", "eos_token"), samples.END)
    assert language.special_tokens == SpecialTokens(256, (256,), None, texts)


Changed = Callable[..., Checkpoint]


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    """Copies a tokenizer with another class or other settings."""

    def copy(name: str, class_name: str | None = None, **settings: object) -> Checkpoint:
        (tmp_path / "assets").symlink_to(presets.TOKENIZERS / name / "assets")
        config = json.loads((presets.TOKENIZERS / name / "tokenizer.json").read_text())
        config["class_name"] = class_name or config["class_name"]
        config["config"] |= settings
        (tmp_path / "tokenizer.json").write_text(json.dumps(config))
        return Checkpoint(tmp_path)

    return copy


def test_an_unknown_class_is_named(changed: Changed) -> None:
    with pytest.raises(UnsupportedError, match=r"'BertTokenizer'.*--tokenizer"):
        read_language(changed("gpt2", "BertTokenizer"), "GPT2Backbone", VOCABULARY, None)


@pytest.mark.parametrize(
    ("name", "setting"),
    [("gpt2", "sequence_length"), ("llama", "add_bos"), ("llama", "sequence_length"), ("llama", "lowercase")],
)
def test_a_setting_that_would_change_ids_is_refused(changed: Changed, name: str, setting: str) -> None:
    with pytest.raises(UnsupportedError, match=setting):
        read_language(changed(name, **{setting: 5}), "GPT2Backbone", VOCABULARY, None)


def test_a_special_token_must_be_in_the_vocabulary(changed: Changed) -> None:
    with pytest.raises(SourceError, match="has no token '<mask>'"):
        read_language(changed("gpt2", unsplittable_tokens=["<mask>"]), "GPT2Backbone", VOCABULARY, None)


def test_a_preset_without_tokenizer_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"tokenizer.json is missing; --tokenizer"):
        read_language(Checkpoint(tmp_path), "GPT2Backbone", VOCABULARY, None)


def test_the_vocabulary_must_fit_the_model() -> None:
    with pytest.raises(SourceError, match="the model's vocabulary has 100 entries"):
        read_language(Checkpoint(presets.TOKENIZERS / "llama"), "LlamaBackbone", 100, None)


def test_a_file_that_is_not_a_sentence_piece_model_is_refused() -> None:
    for data in (b"\xff\xff", b""):
        with pytest.raises(SourceError, match="not a SentencePiece model"):
            sentence_piece_model.parse(data, "vocabulary.spm")
