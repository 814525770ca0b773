from hypothesis import given
from hypothesis import strategies as st

from deployments.decoder.resident.prefix_cache import MIN_SHARED_TOKENS, Match, PrefixCache, longest_match
from deployments.decoder.sequence import common_prefix_length

HEAD = tuple(range(MIN_SHARED_TOKENS))


def test_the_slot_that_shares_most_is_found():
    candidates = [(0, (*HEAD, 1, 2)), (1, (*HEAD, 1, 2, 3)), (2, (9, *HEAD))]
    assert longest_match((*HEAD, 1, 2, 3, 4), candidates) == Match(1, MIN_SHARED_TOKENS + 3)


def test_the_last_token_of_a_prompt_is_always_computed():
    assert longest_match((*HEAD, 1), [(0, (*HEAD, 1, 2))]) == Match(0, MIN_SHARED_TOKENS)


def test_short_prefixes_are_not_worth_a_copy():
    assert longest_match((*HEAD[:-1], 99, 100), [(0, HEAD)]) is None


def test_the_least_recently_used_slot_comes_first():
    cache = PrefixCache()
    for slot in (3, 1, 2):
        cache.put(slot, HEAD)
    cache.touch(3)
    assert [slot for slot, _ in cache.least_recent_first()] == [1, 2, 3]


@given(st.lists(st.integers(0, 1)), st.lists(st.integers(0, 1)))
def test_the_common_prefix_is_as_long_as_the_ids_agree(a, b):
    expected = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    assert common_prefix_length(tuple(a), tuple(b)) == expected
