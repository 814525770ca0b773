"""Prompts and chats become the token ids that the transformers library returns for the same checkpoint."""

import functools
import hashlib
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from deployments.errors import RequestError
from deployments.messages import ChatMessage, ChatPrompt, TextPrompt
from deployments.tokenizer import chat_template
from deployments.tokenizer.prompt_encoder import PromptEncoder
from tests.language.styles import GOLDEN, STYLES, golden, language, servable, tokenizer
from tests.reference.texts import CHATS, CORPUS, random_texts

CHATTING = [style for style in STYLES if golden(style)["chats"]]


@pytest.fixture(autouse=True)
def _a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the date on which the transformers library rendered the chats."""

    class Fixed(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # noqa: ARG003
            return datetime(2024, 7, 26)

    monkeypatch.setattr(chat_template, "datetime", Fixed)


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]


@pytest.mark.parametrize("style", STYLES)
def test_texts_become_the_ids_of_the_reference(style: str) -> None:
    for text, ids in zip(CORPUS, golden(style)["ids"], strict=True):
        assert tokenizer(style).encode(text).ids == ids, text


@pytest.mark.parametrize("style", STYLES)
def test_random_texts_do_too(style: str) -> None:
    expected = golden(style)["random"]
    for text, ids in zip(random_texts(len(expected)), expected, strict=True):
        assert digest(tokenizer(style).encode(text).ids) == ids, repr(text)


@pytest.mark.parametrize("style", STYLES)
def test_ids_become_the_texts_of_the_reference(style: str) -> None:
    for ids, text in zip(golden(style)["ids"], golden(style)["texts"], strict=True):
        assert digest(tokenizer(style).decode(ids, skip_special_tokens=True)) == text


@pytest.mark.parametrize("style", STYLES)
def test_a_prompt_is_encoded_as_the_tokenizer_does(style: str) -> None:
    encoder = PromptEncoder(servable(style))
    for text, ids in zip(CORPUS, golden(style)["ids"], strict=True):
        if ids:
            assert encoder.encode(TextPrompt(style, text)).ids == tuple(ids)


@pytest.mark.parametrize("style", CHATTING)
@pytest.mark.parametrize("number", range(len(CHATS)))
def test_chats_become_the_text_and_ids_of_the_reference(style: str, number: int) -> None:
    messages = tuple(ChatMessage(**message) for message in CHATS[number])
    answer = golden(style)["chats"][number]
    encoder = PromptEncoder(servable(style))
    if "error" in answer:
        with pytest.raises(RequestError) as refusal:
            encoder.encode(ChatPrompt(style, messages))
        assert refusal.value.message == f"The model's chat template refuses: {answer['error']}"
        return
    source, texts = language(style).chat_template, language(style).special_tokens.texts
    assert source is not None
    assert chat_template.ChatTemplate(source, texts).render(messages) == answer["text"]
    # The encoder replaces an empty text by the bos id.
    if answer["text"]:
        assert digest(list(encoder.encode(ChatPrompt(style, messages)).ids)) == answer["ids"]


@functools.cache
def _own(style: str) -> Tokenizer:
    own = Tokenizer.from_file(str(GOLDEN / style / "tokenizer.json"))
    own.no_truncation()
    own.no_padding()
    return own


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=50)
@given(text=st.text(max_size=80))
def test_any_text_becomes_the_ids_of_the_checkpoints_own_file(style: str, text: str) -> None:
    """Holds for styles whose other files do not change the ids."""
    assert tokenizer(style).encode(text).ids == _own(style).encode(text).ids


@pytest.mark.parametrize("style", ["gpt2", "llama3", "smollm", "llama2", "mistral", "gemma"])
@settings(max_examples=50)
@example(text=" ")
@example(text=" a")
@given(text=st.text(max_size=80))
def test_any_text_comes_back(style: str, text: str) -> None:
    """Holds for tokenizers without normalization whose special tokens no short random text contains."""
    ids = tokenizer(style).encode(text, add_special_tokens=False).ids
    back = tokenizer(style).decode(ids, skip_special_tokens=True)
    expected = text.replace("▁", " ") if style in ("llama2", "mistral", "gemma") else text
    # Llama 2 adds a space before a text without one, and removes the first one when it decodes.
    assert back == (expected.removeprefix(" ") if style == "llama2" else expected)


def test_a_negative_padding_id_becomes_none() -> None:
    assert language("llama2").special_tokens.pad is None


def test_a_template_names_the_tokens_of_the_tokenizer_and_not_those_that_end_a_generation() -> None:
    special = language("llama3").special_tokens
    assert special.eos == (403, 406)
    assert special.texts["eos_token"] == "<|eot_id|>" != tokenizer("llama3").id_to_token(special.eos[0])


def test_tokens_that_only_the_configuration_knows_are_in_the_servable() -> None:
    assert tokenizer("phi").encode("<|assistant|>  \nx<|image|>").ids[0] == 421
    assert tokenizer("phi").id_to_token(tokenizer("phi").encode("<|image|>").ids[0]) == "<|image|>"


def test_cutting_and_padding_are_not_in_the_servable() -> None:
    assert tokenizer("unigram").truncation is tokenizer("unigram").padding is None


@pytest.mark.parametrize("style", ["gpt2", "llama2"])
def test_a_file_that_needs_no_change_travels_byte_by_byte(style: str) -> None:
    assert language(style).tokenizer == (GOLDEN / style / "tokenizer.json").read_bytes()
