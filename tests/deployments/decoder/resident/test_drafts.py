from hypothesis import given
from hypothesis import strategies as st

from deployments.decoder.resident.drafts import INITIAL_LENGTH, NGRAM, Drafter


def test_a_draft_is_what_followed_the_last_tokens_before():
    assert Drafter(8).draft([1, 2, 3, 4, 5, 6, 7, 1, 2, 3], 3) == (4, 5, 6)


def test_the_latest_place_counts():
    assert Drafter(8).draft([1, 2, 3, 4, 9, 1, 2, 3, 5, 9, 1, 2, 3], 2) == (5, 9)


def test_a_sequence_that_repeats_itself_is_drafted_beyond_its_end():
    assert Drafter(8).draft([7, 1, 2, 1, 2, 1, 2], 4) == (1, 2, 1, 2)


def test_where_the_last_tokens_are_new_there_is_no_draft():
    assert Drafter(8).draft([1, 2, 3, 4, 5], 4) == ()
    assert Drafter(8).draft([1, 2], 4) == ()


def test_drafts_grow_while_they_are_right_and_shrink_when_not():
    drafter, ids = Drafter(10), [1] * 50
    lengths = []
    for accepted in (INITIAL_LENGTH, 2 * INITIAL_LENGTH, 10, 3, 0):
        lengths.append(len(drafter.draft(ids, 99)))
        drafter.record(lengths[-1], accepted)
    assert [*lengths, len(drafter.draft(ids, 99))] == [4, 8, 10, 10, 4, 1]
    assert len(drafter.draft(ids, 0)) == 0


@given(st.lists(st.integers(0, 2), max_size=60), st.integers(1, 9))
def test_what_is_drafted_stood_after_the_same_tokens(ids, most):
    drafter = Drafter(9)
    for length in range(len(ids) + 1):
        known = ids[:length]
        draft = drafter.draft(known, most)
        followed = [*known, *draft]
        end = known[-NGRAM:]
        places = [i for i in range(NGRAM, length) if known[i - NGRAM : i] == end]
        assert bool(draft) == bool(places)
        if draft:
            repeated = (known[places[-1] :] * 9)[: len(draft)]
            assert followed[length:] == repeated
