import pytest

from deployments.decoder.sequence import Event, IllegalMoveError, SequenceState, TokenSequence
from deployments.messages import FinishReason


def decoding(**changes) -> TokenSequence:
    sequence = TokenSequence(id="a", prompt=(1, 2, 3), max_tokens=2, **changes)
    sequence.move(Event.ADMIT)
    return sequence


def test_a_prompt_may_be_fed_in_chunks_and_a_token_is_due_after_the_last():
    sequence = decoding()
    assert sequence.next_tokens(2) == (1, 2)
    assert not sequence.feed(2)
    assert sequence.next_tokens(1) == (3,)
    assert sequence.feed(1)


def test_the_first_token_ends_the_prefill_and_is_what_comes_next():
    sequence = decoding()
    sequence.feed(3)
    assert sequence.append(9) is None
    assert sequence.state is SequenceState.DECODING
    assert (sequence.next_tokens(1), sequence.pending, sequence.length) == ((9,), 1, 4)


def test_max_tokens_ends_a_sequence_with_length():
    sequence = decoding()
    sequence.feed(3)
    sequence.append(9)
    sequence.feed(1)
    assert sequence.append(8) is FinishReason.LENGTH
    assert sequence.generated == [9, 8]
    assert sequence.computed == sequence.capacity


def test_an_end_token_ends_a_sequence_and_is_not_part_of_it():
    sequence = decoding(eos=frozenset({7}))
    sequence.feed(3)
    assert sequence.append(7) is FinishReason.STOP
    assert sequence.generated == []


def test_an_illegal_move_names_event_and_state():
    sequence = decoding()
    sequence.move(Event.CANCEL)
    with pytest.raises(IllegalMoveError, match="'admit' while cancelled"):
        sequence.move(Event.ADMIT)
