"""Latencies worked by hand from arrival times."""

import pytest

from bench.latency import Chunk, Trace, Window, first_tokens, inter_token, latencies, pauses

ALWAYS = Window(0.0, 100.0)
TRACE = Trace(1.0, (Chunk(1.5, 1), Chunk(1.7, 1), Chunk(2.3, 3)))


def test_the_first_token_is_timed_from_the_sending_of_the_request():
    assert first_tokens([TRACE], ALWAYS) == [0.5]


def test_a_chunk_of_several_tokens_shares_its_pause_among_them():
    assert inter_token([TRACE], ALWAYS) == pytest.approx([0.2, 0.2, 0.2, 0.2])


def test_a_pause_counts_once_however_many_tokens_end_it():
    assert list(pauses([TRACE], ALWAYS)) == [(pytest.approx(0.2), 1), (pytest.approx(0.6), 3)]


def test_the_first_chunk_has_no_inter_token_latency_even_with_several_tokens():
    assert inter_token([Trace(0.0, (Chunk(1.0, 5),))], ALWAYS) == []


def test_pauses_do_not_reach_from_one_request_into_the_next():
    traces = [Trace(0.0, (Chunk(1.0, 1),)), Trace(1.0, (Chunk(5.0, 1),))]
    assert list(pauses(traces, ALWAYS)) == []


def test_only_tokens_that_arrive_in_the_window_count():
    seen = latencies([TRACE], Window(1.6, 2.0))
    assert seen.tokens == 1
    assert seen.tokens_per_s == pytest.approx(1 / 0.4)
    assert list(pauses([TRACE], Window(1.6, 2.0))) == [(pytest.approx(0.2), 1)]


def test_a_first_token_counts_in_the_window_in_which_it_arrives():
    # Asking that the request be sent in the window too once hid waits as long as the window.
    assert first_tokens([TRACE], Window(1.2, 2.0)) == [0.5]
    assert first_tokens([TRACE], Window(1.0, 1.4)) == []


def test_a_request_without_an_answer_counts_nowhere():
    seen = latencies([Trace(1.0, ())], ALWAYS)
    assert (seen.tokens, seen.tokens_per_chunk, seen.first_token_ms.p50) == (0, 0.0, None)


def test_latencies_are_milliseconds():
    seen = latencies([TRACE], ALWAYS)
    assert seen.first_token_ms.p50 == pytest.approx(500)
    assert seen.pause_ms.p99 == pytest.approx(600)
    assert seen.tokens_per_chunk == pytest.approx(5 / 3)
