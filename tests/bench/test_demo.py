"""The demo's report: medians over rounds, ratios within them, and the text."""

from collections.abc import Mapping

from bench import demo
from bench.comparison import Comparison
from bench.demo import DEMO, NAIVE, OWN, RAW
from bench.errors import TIME_USED_UP
from bench.latency import Measurement
from bench.points import Point, Points, Problem, Spot, summary
from bench.results import describe_machine
from bench.spread import Spread
from bench.workload import Workload
from tests.bench.figures import measurement

ASKED = Workload("tiny", prompt_tokens=64, new_tokens=128, vocabulary=16)
PLAN = demo.plan(ASKED, rounds=1, sessions=(1, 16), seconds=8.0)
ROUND = {
    (OWN, 1): measurement(123.4),
    (OWN, 16): measurement(1234, {"model server": 0.5, "Ingress": 0.25}),
    (NAIVE, 1): measurement(200),
    (RAW, 1): measurement(400),
    (RAW, 16): measurement(2468),
}


def points(*rounds: Mapping[tuple[str, int], Measurement]) -> list[Point]:
    return [
        Point(number, Spot(name, DEMO, sessions), figures)
        for number, cells in enumerate(rounds)
        for (name, sessions), figures in cells.items()
    ]


def rates(own: float, naive: float | None = None, raw: float | None = None, sessions: int = 16):
    cells = {(OWN, sessions): own, (NAIVE, 1): naive, (RAW, sessions): raw}
    return {key: measurement(rate) for key, rate in cells.items() if rate is not None}


def of(measured: list[Point], sessions: int, name: str = OWN):
    return summary(Points(measured), Spot(name, DEMO, sessions))


def lines(measured: list[Point], problems: list[Problem] | None = None) -> list[str]:
    comparison = Comparison("tiny", describe_machine(), PLAN, [], [demo.EXPECTED], measured, problems or [])
    return demo.render(comparison).splitlines()


def cells(measured: list[Point]) -> list[list[str]]:
    return [line.split() for line in lines(measured)]


def test_ratios_are_taken_within_a_round_and_only_then_reduced():
    # The machine is ten times slower in the last round; the ratio of the medians would be 200.
    measured = points(rates(1000, 100, 2000), rates(1000, 5, 2000), rates(100, 5, 400))
    assert of(measured, 16).tokens_per_s == 1000
    own = Spot(OWN, DEMO, 16)
    assert Points(measured).times(own, [Spot(NAIVE, DEMO, 1)]) == 20
    assert Points(measured).times(own, [Spot(RAW, DEMO, 16)]) == 0.5


def test_what_no_round_measured_is_unknown():
    measured = points(rates(100, sessions=1))
    assert of(measured, 1).tokens_per_s == 100
    assert Points(measured).times(Spot(OWN, DEMO, 1), [Spot(NAIVE, DEMO, 1)]) is None
    assert of(measured, 8).tokens_per_s is None
    assert of(measured, 1, NAIVE).tokens_per_s is None
    assert of(measured, 1, RAW).inter_token_ms == Spread(None, None)


def test_no_rounds_at_all_give_a_summary_without_figures():
    assert of([], 16).tokens_per_s is None


def test_cpu_time_is_split_into_model_servers_and_all_else():
    spent = {"model server": 0.5, "Ingress": 0.25, "raylet": 0.125}
    row = of(points({(OWN, 16): measurement(100, spent)}), 16)
    assert (row.cpu_ms_per_token["model server"], row.orchestration_cpu_ms) == (0.5, 0.375)


def test_a_summary_is_of_one_number_of_sessions():
    measured = points({(OWN, 1): measurement(10), (OWN, 16): measurement(20)})
    assert (of(measured, 16).sessions, of(measured, 16).tokens_per_s) == (16, 20)
    assert of(measured, 8).rounds == 0


def test_a_row_shows_throughput_latencies_and_both_ratios():
    spread = ["1", "/", "2"]
    assert ["16", "1234", *spread, *spread, *spread, "1", "6.17", "0.5"] in cells(points(ROUND))


def test_the_raw_step_has_a_row_for_each_batch():
    assert ["16", "2468", "1", "/", "2"] in cells(points(ROUND))


def test_the_expectation_is_shown_beside_what_was_measured():
    assert lines(points(ROUND))[-1] == (
        "Expected at 16 sessions: at least 5 times the naive loop; measured: 6.17 times"
    )


def test_cpu_time_is_shown_by_part():
    text = "\n".join(lines(points(ROUND)))
    assert "model server 0.5, all else 0.25" in text
    assert "Ingress 0.25" in text


def test_columns_are_aligned():
    header = next(i for i, line in enumerate(lines(points(ROUND))) if line.startswith("sessions"))
    assert len({len(line) for line in lines(points(ROUND))[header : header + 3]}) == 1


def test_what_was_not_measured_is_a_dash():
    assert ["1", "-", *(["-", "/", "-"] * 3), "-", "-", "-"] in cells([])


def test_a_run_that_was_cut_short_says_so():
    problems = [Problem(0, RAW, TIME_USED_UP)]
    assert "The time was used up before all was measured." in lines(points(ROUND), problems)
    assert "The time was used up before all was measured." not in lines(points(ROUND))
