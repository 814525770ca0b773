"""The made-up vocabulary: text and ids stand for one another."""

import random

import pytest
from tokenizers import Tokenizer

from bench.random_model import vocabulary


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return vocabulary.build()


def test_it_has_the_size_of_gpt_2_s(tokenizer: Tokenizer):
    assert tokenizer.get_vocab_size() == 50257
    assert tokenizer.token_to_id(vocabulary.END) == vocabulary.END_ID == 50256


def test_the_text_of_words_has_those_words_as_its_tokens(tokenizer: Tokenizer):
    choose = random.Random(0)
    ids = [choose.randrange(vocabulary.FIRST_WORD, vocabulary.END_ID) for _ in range(5000)]
    assert tokenizer.encode(tokenizer.decode(ids)).ids == ids


def test_every_word_is_one_token(tokenizer: Tokenizer):
    for word in range(vocabulary.FIRST_WORD, vocabulary.END_ID, 97):
        assert tokenizer.encode(tokenizer.decode([word])).ids == [word]


def test_any_text_can_be_encoded(tokenizer: Tokenizer):
    text = "Größe 7: \N{SNOWMAN}\n"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
