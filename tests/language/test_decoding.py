"""With any tokenizer, text decoded token by token is the text of all token ids together."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models

from deployments.detokenizer.incremental_text import IncrementalText
from deployments.detokenizer.token_decoder import TokenDecoder
from tests.language.styles import STYLES, tokenizer
from tests.reference.texts import CORPUS

WORDS = {
    text: i
    for i, text in enumerate(
        [
            "[UNK]",
            "low",
            "##er",
            ".",
            "n't",
            "▁",
            "▁low",
            "é",
            "�",
            "do",
            "</w>",
            "low</w>",
            "<0xC3>",
            "<0xA9>",
        ]
    )
}


def _words(decoder: decoders.Decoder | None) -> Tokenizer:
    built = Tokenizer(models.WordLevel(WORDS, unk_token="[UNK]"))
    if decoder is not None:
        built.decoder = decoder
    built.add_special_tokens([AddedToken("[END]")])
    built.add_tokens([AddedToken("shown")])
    return built


DECODERS = {
    "none": _words(None),
    "wordpiece": _words(decoders.WordPiece(cleanup=True)),
    "metaspace": _words(decoders.Metaspace()),
    "suffix": _words(decoders.BPEDecoder()),
    "fused": _words(
        decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    ),
}
TOKENIZERS = {style: tokenizer(style) for style in STYLES} | DECODERS
NAMES = sorted(TOKENIZERS)


def deltas(name: str, ids: Sequence[int], prompt: Sequence[int] = ()) -> list[str]:
    text = IncrementalText(TokenDecoder(TOKENIZERS[name]), prompt)
    return [*(text.push(token) for token in ids), text.flush()]


def whole(name: str, ids: Sequence[int]) -> str:
    text: str = TOKENIZERS[name].decode(ids, skip_special_tokens=True)
    return text


def ids_of(name: str) -> st.SearchStrategy[list[int]]:
    """Draws token ids, also runs of byte tokens and ids that the tokenizer does not have."""
    size = TOKENIZERS[name].get_vocab_size()
    return st.lists(st.integers(0, size + 5) | st.integers(3, min(size, 270)), max_size=40)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(data=st.data())
def test_deltas_of_any_ids_join_to_the_whole(name: str, data: st.DataObject) -> None:
    ids = data.draw(ids_of(name))
    assert "".join(deltas(name, ids)) == whole(name, ids)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(data=st.data())
def test_after_a_prompt_they_join_to_what_the_ids_add_to_it(name: str, data: st.DataObject) -> None:
    ids, before = data.draw(ids_of(name)), data.draw(ids_of(name))
    decoder = TokenDecoder(TOKENIZERS[name])
    # Bytes at the end of the prompt that form no whole character do not become part of the generated text.
    prompt = before[: max((i + 1 for i, token in enumerate(before) if decoder.beginning([token])), default=0)]
    expected = whole(name, prompt + ids).removeprefix(whole(name, prompt))
    assert "".join(deltas(name, ids, prompt)) == expected


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=40)
@given(text=st.text(max_size=60))
def test_no_delta_of_a_text_ends_inside_a_character(style: str, text: str) -> None:
    ids = tokenizer(style).encode(text, add_special_tokens=False).ids
    parts = deltas(style, ids)
    assert "".join(parts) == whole(style, ids)
    assert "�" in text or not any("�" in part for part in parts)


@pytest.mark.parametrize("style", STYLES)
def test_the_corpus_comes_token_by_token_as_it_does_whole(style: str) -> None:
    for text in CORPUS:
        ids = tokenizer(style).encode(text).ids
        assert "".join(deltas(style, ids)) == whole(style, ids)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(data=st.data())
def test_places_in_the_text_never_go_back(name: str, data: st.DataObject) -> None:
    text, places = IncrementalText(TokenDecoder(TOKENIZERS[name])), []
    for token in data.draw(ids_of(name)):
        places.append(text.length)
        text.push(token)
    text.flush()
    assert [*places, text.length] == sorted([*places, text.length])


def _ids(style: str, *tokens: str) -> list[int]:
    return [tokenizer(style).token_to_id(token) for token in tokens]


@pytest.mark.parametrize("style", ["llama2", "mistral", "phi", "unigram"])
def test_the_space_of_a_first_word_stays_where_a_prompt_stands_before_it(style: str) -> None:
    the, space = _ids(style, "▁the", "▁")
    assert "".join(deltas(style, [the], prompt=[the])) == " the"
    assert "".join(deltas(style, [space, the], prompt=[the])) == "  the"


def test_a_prompt_of_special_tokens_begins_no_text() -> None:
    begin, the = _ids("llama2", "<s>", "▁the")
    assert "".join(deltas("llama2", [the], prompt=[begin])) == "the"


def test_bytes_come_with_the_token_that_ends_their_run() -> None:
    """The tokenizer library once raised an error for a run with a byte missing, which ended the stream."""
    a, b = _ids("llama2", "<0x41>", "<0xE6>")
    (word,) = _ids("llama2", "▁the")
    assert deltas("llama2", [word, a, b, word]) == ["the", "", "", "�� the", ""]


def test_bytes_that_are_held_back_have_places() -> None:
    text = IncrementalText(TokenDecoder(tokenizer("llama2")))
    places = []
    for token in _ids("llama2", "<0x41>", "<0xE6>", "<0x97>", "<0xA5>", "<0x42>"):
        text.push(token)
        places.append(text.length)
    assert places == [1, 1, 1, 2, 3]


def test_a_special_token_does_not_end_a_run_of_bytes() -> None:
    ids = _ids("llama2", "<0xE6>", "<0x97>", "</s>", "<0xA5>")
    assert deltas("llama2", ids) == ["", "", "", "", "日"]


def test_a_token_that_reads_like_a_byte_is_text_where_no_decoder_knows_bytes() -> None:
    assert deltas("metaspace", [WORDS["<0xC3>"], WORDS["<0xA9>"]]) == ["<0xC3>", "<0xA9>", ""]
