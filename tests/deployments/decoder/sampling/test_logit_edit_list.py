"""The logit edits of a sequence's sampling parameters, as its answer grows."""

import numpy as np
import pytest

from contract.names import NO_EDIT, UNSEEN
from deployments.decoder.calls.logit_edits import LogitEdits
from deployments.decoder.sequence import Event, TokenSequence
from deployments.messages import SamplingParams

PROMPT = (4, 5, 4)
EOS = frozenset({9})


def sequence(params: SamplingParams, answer: tuple[int, ...] = ()) -> TokenSequence:
    made = TokenSequence("a", PROMPT, 20, params, EOS)
    made.move(Event.ADMIT)
    for token in answer:
        made.feed(made.pending)
        made.append(token)
    return made


def listed(of: TokenSequence, steps: int = 1) -> dict[int, tuple[int, float]]:
    """(count, bias) by token id."""
    edits = LogitEdits.of([of], steps)
    columns = zip(edits.ids[0].tolist(), edits.counts[0].tolist(), edits.bias[0].tolist(), strict=True)
    return {token: (count, bias) for token, count, bias in columns if token != NO_EDIT}


def test_a_sequence_that_asks_for_nothing_lists_nothing():
    plain = sequence(SamplingParams(temperature=0.5), (1, 2))
    assert plain.edits is None
    assert LogitEdits.of([plain], 8).ids.shape == (1, 0)


def test_a_repetition_penalty_lists_prompt_and_answer():
    assert listed(sequence(SamplingParams(repetition_penalty=1.5), (7, 4, 7))) == {
        4: (1, 0.0),
        5: (0, 0.0),
        7: (2, 0.0),
    }


def test_presence_and_frequency_penalties_list_the_answer_alone():
    for params in (SamplingParams(presence_penalty=1), SamplingParams(frequency_penalty=1)):
        assert listed(sequence(params, (7, 4, 7))) == {7: (2, 0.0), 4: (1, 0.0)}


def test_biases_are_listed_without_counts_where_nothing_is_penalised():
    params = SamplingParams(logit_bias=((3, 2.0), (4, -1.0)))
    assert listed(sequence(params, (3, 3))) == {3: (UNSEEN, 2.0), 4: (UNSEEN, -1.0)}


def test_end_tokens_are_banned_until_the_answer_has_its_least_length():
    params = SamplingParams(min_tokens=2, logit_bias=((9, 5.0),))
    assert listed(sequence(params, (1,))) == {9: (UNSEEN, -np.inf)}
    assert listed(sequence(params, (1, 2))) == {9: (UNSEEN, 5.0)}
    assert listed(sequence(SamplingParams(min_tokens=2), (1, 2))) == {}


def test_a_call_of_several_steps_has_a_column_free_for_each_token_but_its_last():
    penalised, biased = SamplingParams(frequency_penalty=1), SamplingParams(logit_bias=((3, 1.0),))
    assert LogitEdits.of([sequence(penalised, (7, 8))], 5).ids.shape == (1, 2 + 4)
    assert LogitEdits.of([sequence(biased, (7, 8))], 5).ids.shape == (1, 1)


def test_rows_of_a_call_are_padded_to_the_longest():
    edits = LogitEdits.of(
        [
            sequence(SamplingParams()),
            sequence(SamplingParams(frequency_penalty=1, presence_penalty=2), (7, 8)),
        ]
    )
    assert edits.ids.tolist() == [[NO_EDIT, NO_EDIT], [7, 8]]
    assert (edits.frequency.tolist(), edits.presence.tolist()) == ([0, 1], [0, 2])
    assert edits.repetition.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        # Tokens 4 and 5 are the prompt's, 7 is twice in the answer; their logits are 2, -2 and 8.
        (SamplingParams(repetition_penalty=2), {4: 1, 5: -4, 7: 4}),
        (SamplingParams(presence_penalty=1.5), {7: 6.5}),
        (SamplingParams(frequency_penalty=1.5), {7: 5}),
        (SamplingParams(frequency_penalty=-1), {7: 10}),
        (SamplingParams(logit_bias=((7, -3.0), (3, 0.5))), {7: 5, 3: 0.5}),
        (
            SamplingParams(repetition_penalty=2, presence_penalty=1, logit_bias=((7, 1.0),)),
            {4: 1, 5: -4, 7: 4},
        ),
        (SamplingParams(min_tokens=3), {9: -np.inf}),
    ],
)
def test_only_listed_logits_change_and_as_each_parameter_says(params, expected):
    logits = np.zeros((1, 12), np.float32)
    logits[0, [4, 5, 7]] = 2, -2, 8
    changed = logits.copy()
    LogitEdits.of([sequence(params, (7, 7))]).apply(changed)
    assert {i: changed[0, i] for i in np.flatnonzero(changed[0] != logits[0])} == expected


def test_a_call_gives_no_more_tokens_than_until_end_tokens_are_allowed():
    params = SamplingParams(min_tokens=3)
    budgets = [
        sequence(params, answer).token_budget for answer in [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]
    ]
    assert budgets == [3, 2, 1, 17, 16]
