"""Points to ratios, findings and rows."""

import pytest

from bench.comparison import Expectation, findings, times
from bench.engines.catalogue import ENGINES
from bench.expected import COMPARED, EXPECTED
from bench.latency import Latencies, Measurement
from bench.points import (
    Point,
    Points,
    Spot,
    at_rest_ms,
    first_token_p50,
    orchestration_ms,
    summaries,
    whole_answers,
    without_rest_ms,
)
from bench.spread import Spread
from tests.bench.figures import SPREAD, measurement

OWN, A, B = Spot("own", "W1", 16), Spot("a", "W1", 16), Spot("b", "W1", 16)


def points(*cells: tuple[int, Spot, float]) -> Points:
    return Points(Point(number, spot, measurement(rate)) for number, spot, rate in cells)


def raw(batch: int, prefill_ms: float, step_ms: float) -> Point:
    step, first = Spread(step_ms, step_ms), Spread(prefill_ms, prefill_ms)
    seen = Latencies(100, 1000 * batch / step_ms, 1.0, first, step, step)
    return Point(0, Spot("raw-bf16", "W1", batch), Measurement(seen, {}, 0.0))


def test_a_ratio_is_to_the_best_of_the_others_in_the_same_round():
    # Each of the others is best once; the machine is slow in the second round.
    measured = points((0, OWN, 300), (0, A, 100), (0, B, 200), (1, OWN, 40), (1, A, 20), (1, B, 5))
    assert measured.times(OWN, [A, B]) == pytest.approx((1.5 + 2.0) / 2)


def test_rounds_without_one_of_the_two_give_no_ratio():
    assert points((0, OWN, 300), (1, A, 100)).times(OWN, [A]) is None
    assert points((0, OWN, 300), (1, OWN, 30), (1, A, 10)).times(OWN, [A]) == 3


def test_whole_answers_of_a_raw_step_have_their_prefill_in_them():
    # Two rows, each of 5 tokens: one from the prefill of 60 ms, four from steps of 10 ms.
    assert whole_answers(5)(raw(2, 60, 10)) == pytest.approx(1000 * 2 * 5 / 100)


def test_orchestration_is_all_but_the_model_server():
    point = Point(0, OWN, measurement(100, {"model server": 5.0, "Ingress": 0.25, "raylet": 0.5}))
    assert orchestration_ms(point) == 0.75
    assert orchestration_ms(Point(0, OWN, measurement(100))) is None


def test_rest_is_spread_over_the_tokens_of_a_second():
    rest = {"model server": 40.0, "Ingress": 30.0, "raylet": 10.0}
    point = Point(0, OWN, measurement(100, {"model server": 5.0, "Ingress": 0.75}, rest=rest))
    assert at_rest_ms(point) == pytest.approx(0.4)
    assert without_rest_ms(point) == pytest.approx(0.35)


def test_without_a_look_at_rest_there_is_no_figure_of_it():
    point = Point(0, OWN, measurement(100, {"Ingress": 0.75}))
    assert (at_rest_ms(point), without_rest_ms(point)) == (None, None)


def test_a_ratio_of_latencies_and_a_difference_are_of_one_round_each():
    slow = [
        Point(number, spot, measurement(1, latency=Spread(ms * (1 + number), None)))
        for spot, ms in ((OWN, 30.0), (A, 20.0))
        for number in (0, 1)
    ]
    measured = Points(slow)
    assert measured.times(OWN, [A], first_token_p50) == 1.5
    assert measured.beyond(OWN, A, first_token_p50) == 15


def test_what_a_finding_lacks_is_named():
    expected = times("own / a", OWN, [A], at_least=1)
    (found,) = findings(points((0, OWN, 300)), [expected])
    assert (found.value, found.kept, found.missing) == (None, None, ("a",))
    (found,) = findings(points((0, OWN, 300), (0, A, 100)), [expected])
    assert (found.value, found.kept, found.missing) == (3, True, ())


def test_every_engine_that_is_expected_to_be_measured_exists():
    named = {spot.engine for each in (*EXPECTED, *COMPARED) for spot in each.needs}
    assert named <= set(ENGINES)


def test_tokens_of_queued_sessions_are_compared_with_those_that_are_decoded():
    measured = points(
        (0, Spot("tensorloom-bf16", "W1", 256), 190), (0, Spot("tensorloom-bf16", "W1", 32), 200)
    )
    (found,) = [each for each in findings(measured, EXPECTED) if each.value == 0.95]
    assert (found.bound, found.kept) == (">= 0.95", True)


def test_a_lower_and_an_upper_bound_are_kept_or_not():
    low, high = Expectation("", lambda _: None, at_least=2), Expectation("", lambda _: None, at_most=2)
    assert [low.kept(1.9), low.kept(2), high.kept(2), high.kept(2.1)] == [False, True, True, False]


def test_what_was_not_measured_is_neither_kept_nor_missed():
    assert {finding.kept for finding in findings(Points([]), EXPECTED)} == {None}
    assert len(findings(Points([]), EXPECTED)) == len(EXPECTED)


def test_the_naive_loop_s_one_session_is_compared_with_sixteen():
    measured = points((0, Spot("tensorloom-bf16", "W1", 16), 500), (0, Spot("naive", "W1", 1), 20))
    (finding,) = [f for f in findings(measured, COMPARED) if f.value is not None]
    assert (finding.value, finding.bound, finding.kept) == (25, "", None)


def test_rows_are_medians_over_the_rounds_that_there_are():
    measured = [
        Point(0, OWN, measurement(10)),
        Point(1, OWN, measurement(30)),
        Point(2, OWN, measurement(20)),
        Point(0, A, measurement(7)),
    ]
    own, other = summaries(measured)
    assert (own.engine, own.rounds, own.tokens_per_s, own.inter_token_ms) == ("own", 3, 20, SPREAD)
    assert (other.engine, other.rounds, other.tokens_per_s) == ("a", 1, 7)


def test_throughput_is_divided_by_the_memory_of_all_processes():
    (row,) = summaries([Point(0, OWN, measurement(30, memory={"model server": 1024.0, "raylet": 512.0}))])
    assert (row.memory_gib, row.tokens_per_s_per_gib) == (1.5, 20)


def test_cpu_by_part_is_reduced_part_by_part():
    cells = [Point(i, OWN, measurement(1, {"Ingress": spent})) for i, spent in enumerate((0.25, 0.5, 4.0))]
    assert summaries(cells)[0].cpu_ms_per_token == {"Ingress": 0.5}
