"""The random model with a draft model that predicts it."""

import numpy as np
import pytest

from bench.random_model import chained, vocabulary
from bench.random_model.chained import SAME, SMALL


def test_a_text_meets_every_word_before_it_repeats_one():
    successor = chained.successors(1.0)
    word, seen = vocabulary.FIRST_WORD, set()
    while word not in seen:
        seen.add(word)
        word = int(successor[word])
    assert seen == set(range(vocabulary.FIRST_WORD, vocabulary.END_ID))


def test_the_small_model_has_other_successors_for_its_part_of_the_words():
    words = slice(vocabulary.FIRST_WORD, vocabulary.END_ID)
    large, small = chained.successors(1.0)[words], chained.successors(SAME)[words]
    assert np.mean(large == small) == pytest.approx(SAME, abs=0.01)
    assert len(set(small)) == len(small)


def test_every_text_meets_words_of_which_the_small_model_has_other_successors():
    """They once were neighbours on the circle: the small model predicted all of a text, or nothing."""
    large, small = chained.successors(1.0), chained.successors(SAME)
    word, right = vocabulary.FIRST_WORD, []
    for _ in range(2000):
        right.append(large[word] == small[word])
        word = large[word]
    assert np.mean(right[:1000]) == pytest.approx(SAME, abs=0.05)
    assert np.mean(right[1000:]) == pytest.approx(SAME, abs=0.05)


def test_the_likeliest_token_after_an_embedding_is_the_successor():
    weights = dict(chained._weights(SMALL))
    words = np.arange(vocabulary.FIRST_WORD, vocabulary.END_ID, 97)
    hidden = weights["transformer.wte.weight"][words]
    hidden = (hidden - hidden.mean(axis=1, keepdims=True)) / hidden.std(axis=1, keepdims=True)
    likeliest = (hidden @ weights["lm_head.weight"].T).argmax(axis=1)
    assert (likeliest == chained.successors(SAME)[words]).all()
