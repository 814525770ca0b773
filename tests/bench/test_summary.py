"""Medians over rounds, ratios within them."""

from bench.rounds import Round
from bench.spread import Spread
from bench.summary import summarize
from tests.bench.figures import http, naive, raw


def test_ratios_are_taken_within_a_round_and_only_then_reduced():
    # The machine is ten times slower in the last round; the ratio of the medians would be 200.
    rounds = [
        Round({16: http(1000)}, naive(100), {16: raw(2000)}),
        Round({16: http(1000)}, naive(5), {16: raw(2000)}),
        Round({16: http(100)}, naive(5), {16: raw(400)}),
    ]
    row = summarize(rounds, [16]).rows[0]
    assert row.tokens_per_s == 1000
    assert row.times_naive == 20
    assert row.times_raw == 0.5


def test_what_no_round_measured_is_unknown():
    summary = summarize([Round({1: http(100)}, None, {})], [1, 8])
    assert (summary.rows[0].tokens_per_s, summary.rows[0].times_naive) == (100, None)
    assert summary.rows[1].tokens_per_s is None
    assert summary.naive.tokens_per_s is None
    assert summary.raw[0].step_ms == Spread(None, None)


def test_no_rounds_at_all_give_a_summary_without_figures():
    assert summarize([], [16]).rows[0].tokens_per_s is None


def test_cpu_time_is_split_into_model_servers_and_all_else():
    rounds = [Round({16: http(100, {"model server": 0.5, "Ingress": 0.25, "raylet": 0.125})}, None, {})]
    row = summarize(rounds, [16]).rows[0]
    assert (row.model_server_cpu_ms, row.other_cpu_ms) == (0.5, 0.375)


def test_a_row_is_found_by_its_sessions():
    summary = summarize([], [1, 16])
    assert summary.at(16) is summary.rows[1]
    assert summary.at(8) is None
