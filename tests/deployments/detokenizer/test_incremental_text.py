"""Deltas of text are whole characters and join to the whole text."""

import functools

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from deployments.detokenizer.incremental_text import IncrementalText
from deployments.detokenizer.token_decoder import TokenDecoder
from tests.deployments.fakes import byte_tokenizer

LINES = ["Once upon a time there was a small café.", "Es war einmal ein kleines Café.", "日本語 und 🙂🙃"] * 4


@functools.cache
def trained_tokenizer() -> Tokenizer:
    """Byte-level BPE with merges, some of which end inside a character, and two special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(LINES, trainer)
    return tokenizer


def deltas(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    text = IncrementalText(TokenDecoder(tokenizer))
    return [*(text.push(token) for token in ids), text.flush()]


@given(st.text(max_size=60) | st.text("aé日🙂 \n", max_size=60))
def test_deltas_join_to_the_text_and_none_is_broken(text: str) -> None:
    ids = trained_tokenizer().encode(text, add_special_tokens=False).ids
    parts = deltas(trained_tokenizer(), ids)
    assert "".join(parts) == trained_tokenizer().decode(ids, skip_special_tokens=True) == text
    assert "�" in text or not any("�" in part for part in parts)


@given(st.lists(st.integers(0, 319), max_size=60))
def test_deltas_of_any_ids_join_to_what_the_whole_decodes_to(ids: list[int]) -> None:
    whole = trained_tokenizer().decode(ids, skip_special_tokens=True)
    assert "".join(deltas(trained_tokenizer(), ids)) == whole


def test_a_character_of_several_tokens_comes_with_the_last_of_them() -> None:
    assert deltas(byte_tokenizer(), list("aé".encode())) == ["a", "", "é", ""]


def test_a_generation_that_ends_inside_a_character_shows_the_broken_rest_at_the_end() -> None:
    assert deltas(byte_tokenizer(), [97, "é".encode()[0]]) == ["a", "", "�"]
