"""The report as text."""

from bench.rounds import Plan, Round
from bench.summary import summarize
from bench.table import render
from bench.workload import Workload
from tests.bench.figures import http, naive, raw

WORKLOAD = Workload("tiny", prompt_tokens=64, new_tokens=128, vocabulary=16)
PLAN = Plan(rounds=1, sessions=(1, 16), seconds=8.0)
ROUND = Round(
    {1: http(123.4), 16: http(1234, {"model server": 0.5, "Ingress": 0.25})},
    naive(200),
    {1: raw(400), 16: raw(2468)},
)


def lines(rounds: list[Round], stopped: bool = False) -> list[str]:
    return render(WORKLOAD, PLAN, summarize(rounds, PLAN.sessions), len(rounds), stopped).splitlines()


def cells(rounds: list[Round]) -> list[list[str]]:
    return [line.split() for line in lines(rounds)]


def test_a_row_shows_throughput_latencies_and_both_ratios():
    spread = ["1", "/", "2"]
    assert ["16", "1234", *spread, *spread, *spread, "1", "6.17", "0.5"] in cells([ROUND])


def test_the_raw_step_has_a_row_for_each_batch():
    assert ["16", "2468", "1", "/", "2"] in cells([ROUND])


def test_the_expectation_is_shown_beside_what_was_measured():
    assert lines([ROUND])[-1] == (
        "Expected at 16 sessions: at least 5 times the naive loop; measured: 6.17 times"
    )


def test_cpu_time_is_shown_by_part():
    text = "\n".join(lines([ROUND]))
    assert "model server 0.5, all else 0.25" in text
    assert "Ingress 0.25" in text


def test_columns_are_aligned():
    header = next(i for i, line in enumerate(lines([ROUND])) if line.startswith("sessions"))
    assert len({len(line) for line in lines([ROUND])[header : header + 3]}) == 1


def test_what_was_not_measured_is_a_dash():
    assert ["1", "-", *(["-", "/", "-"] * 3), "-", "-", "-"] in cells([])


def test_a_run_that_was_cut_short_says_so():
    assert "The time was used up before all was measured." in lines([ROUND], stopped=True)
    assert "The time was used up before all was measured." not in lines([ROUND])
