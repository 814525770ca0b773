"""What is asked for."""

import json

import pytest

from bench.workload import Workload, settling_s

WORKLOAD = Workload("m", prompt_tokens=5, new_tokens=8, vocabulary=16)


def test_a_request_s_prompt_is_the_same_in_every_run_and_differs_from_the_next():
    assert WORKLOAD.prompt(3) == WORKLOAD.prompt(3)
    assert WORKLOAD.prompt(3) != WORKLOAD.prompt(4)


def test_prompts_are_ids_of_the_vocabulary():
    ids = [token for number in range(50) for token in WORKLOAD.prompt(number)]
    assert len(ids) == 50 * 5
    assert set(ids) == set(range(16))


def test_a_body_asks_for_a_greedy_stream_that_counts_its_tokens_and_ignores_ends():
    body = json.loads(WORKLOAD.body(3, 2))
    assert body["prompt"] == list(WORKLOAD.prompt(3))
    assert (body["max_tokens"], body["temperature"], body["ignore_eos"], body["stream"]) == (2, 0, True, True)
    assert body["stream_options"]["continuous_usage_stats"] is True


def test_sessions_begin_with_requests_of_different_lengths():
    assert [WORKLOAD.first_length(i, 4) for i in range(4)] == [2, 4, 6, 8]


def test_more_sessions_than_tokens_still_ask_for_one_at_least():
    assert WORKLOAD.first_length(0, 100) == 1


def test_an_empty_prompt_is_refused():
    with pytest.raises(ValueError, match="at least one prompt token"):
        Workload("m", prompt_tokens=0, new_tokens=8, vocabulary=16)


def test_a_repetitive_prompt_repeats_its_phrase():
    prompt = Workload("m", prompt_tokens=7, new_tokens=1, vocabulary=1000, phrase=3).prompt(0)
    assert prompt[3:6] == prompt[:3]
    assert prompt[6] == prompt[0]
    assert len(set(prompt)) == 3


def test_prompts_keep_to_the_ids_that_are_allowed():
    workload = Workload("m", prompt_tokens=50, new_tokens=1, vocabulary=20, first_id=10)
    assert {token for number in range(20) for token in workload.prompt(number)} == set(range(10, 20))


def test_queued_sessions_begin_with_whole_answers():
    lengths = [WORKLOAD.first_length(i, 256) for i in (0, 31, 63, 64, 255)]
    assert lengths == [1, 4, 8, 8, 8]


def test_a_window_opens_a_few_seconds_after_the_first_texts_and_sooner_if_it_is_short():
    assert [settling_s(seconds) for seconds in (1.0, 6.0, 20.0)] == [0.5, 3.0, 3.0]
