"""The order of a comparison, and what becomes of engines that fail."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import compare, rounds
from bench.compare import ALL_WORKLOADS
from bench.comparison import Comparison
from bench.engines.catalogue import ENGINES, QUICK
from bench.engines.contender import LLAMA, Contender, ContenderKind, Measure, Setup
from bench.errors import ProcessEnded, Unavailable
from bench.expected import COMPARED, EXPECTED
from bench.latency import Measurement
from bench.points import Point, Problem, Spot
from bench.random_model.servables import Cache
from bench.report import render
from bench.results import describe_machine
from bench.rounds import Budget, FurtherSpot, RoundPlan
from bench.workload import Workload
from tests.bench.figures import measurement

PLAN = RoundPlan(rounds=2, workloads=ALL_WORKLOADS, sessions=(1, 16), seconds=5.0, warm_up_s=2.0)
W2 = {"W2": ALL_WORKLOADS["W2"]}
CPU = {"model server": 3.0, "decoder-small": 0.5, "Ingress": 0.25, "raylet": 0.125}
REST = {"model server": 50.0, "decoder-small": 160.0, "raylet": 80.0}


class Journal:
    """What engines did, and what was recorded."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.news: list[Point | Problem] = []

    def engine(
        self,
        name: str,
        kind: ContenderKind = ContenderKind.SERVER,
        failing: str = "",
        most: int | None = None,
    ) -> Contender:
        def prepare(_setup: Setup) -> None:
            if failing == "prepare":
                raise Unavailable("there is no compiler")

        @contextlib.contextmanager
        def started(_setup: Setup) -> Iterator[Measure]:
            self.calls.append(f"{name} starts")
            if failing == "start":
                raise ProcessEnded("out of memory")
            try:
                yield self._measure(name)
            finally:
                self.calls.append(f"{name} ends")

        return Contender(name, name.title(), kind, prepare, started, most)

    def _measure(self, name: str) -> Measure:
        def measure(asked: Workload, sessions: int, seconds: float) -> Measurement:
            self.calls.append(f"{name} {asked.prompt_tokens} {sessions} {seconds:g}")
            return measurement(100.0 * sessions, CPU, rest=REST, memory={"model server": 2048.0})

        return measure

    def run(self, *engines: Contender, plan: RoundPlan = PLAN, seconds: float = 1e6) -> None:
        setup = Setup(Cache(Path()), Path())
        ready = rounds.prepared(engines, setup, self.news.append)
        rounds.run(plan, ready, setup, Budget(seconds), self.news.append)


@pytest.fixture
def journal() -> Journal:
    return Journal()


def test_one_engine_is_alive_at_a_time_and_every_second_round_goes_backwards(journal: Journal):
    journal.run(journal.engine("a"), journal.engine("b"))
    lives = [call for call in journal.calls if call.endswith("s")]
    assert lives == [f"{name} {does}" for name in "abba" for does in ("starts", "ends")]


def test_every_point_is_warmed_up_and_then_measured(journal: Journal):
    plan = RoundPlan(rounds=1, workloads=W2, sessions=(16,), seconds=5.0, warm_up_s=2.0)
    journal.run(journal.engine("a"), journal.engine("raw", ContenderKind.RAW), plan=plan)
    measured = [call for call in journal.calls if not call.endswith("s")]
    assert measured == ["a 512 16 2", "a 512 16 5", "raw 512 16 5"]


def test_an_engine_with_a_limit_is_asked_for_no_more(journal: Journal):
    journal.run(journal.engine("a", most=1))
    asked = [news.spot for news in journal.news if isinstance(news, Point) and news.round == 0]
    assert asked == [Spot("a", "W1", 1), Spot("a", "W2", 1)]


def test_an_engine_with_numbers_of_its_own_is_asked_for_those(journal: Journal):
    plan = RoundPlan(1, W2, sessions=(1, 16), seconds=5.0, warm_up_s=2.0, sessions_of={"a": (8,)})
    journal.run(journal.engine("a"), journal.engine("b"), plan=plan)
    asked = [news.spot for news in journal.news if isinstance(news, Point)]
    assert asked == [Spot("a", "W2", 8), Spot("b", "W2", 1), Spot("b", "W2", 16)]


def test_further_spots_come_last_and_queued_sessions_are_not_warmed_up(journal: Journal):
    further = (FurtherSpot(Spot("a", "W1", 256), ALL_WORKLOADS["W1"]),)
    plan = RoundPlan(1, W2, sessions=(1,), seconds=5.0, warm_up_s=2.0, further=further)
    journal.run(journal.engine("a"), journal.engine("b"), plan=plan)
    measured = [call for call in journal.calls if not call.endswith("s")]
    assert measured == ["a 512 1 2", "a 512 1 5", "a 128 256 5", "b 512 1 2", "b 512 1 5"]


@pytest.mark.parametrize(
    ("failing", "problems"),
    [
        ("prepare", [Problem(None, "bad", "there is no compiler")]),
        ("start", [Problem(number, "bad", "out of memory") for number in (0, 1)]),
    ],
)
def test_an_engine_that_fails_is_recorded_and_the_others_go_on(journal: Journal, failing: str, problems):
    journal.run(journal.engine("bad", failing=failing), journal.engine("good"))
    assert [news for news in journal.news if isinstance(news, Problem)] == problems
    assert sum(isinstance(news, Point) for news in journal.news) == 2 * 4


def test_nothing_is_started_without_time_for_it(journal: Journal):
    journal.run(journal.engine("a"), seconds=30)
    assert journal.calls == []
    assert {news.reason for news in journal.news if isinstance(news, Problem)} == {"the time was used up"}


def result(journal: Journal) -> Comparison:
    engines = [journal.engine("good"), journal.engine("bad", failing="prepare")]
    made = Comparison("the title", describe_machine(), PLAN, engines, EXPECTED, compared=COMPARED)
    setup = Setup(Cache(Path()), Path())
    rounds.run(PLAN, rounds.prepared(engines, setup, made.add), setup, Budget(1e6), made.add)
    return made


def test_the_table_has_a_line_for_each_engine_and_names_what_failed(journal: Journal):
    lines = render(result(journal)).splitlines()
    (good, *_) = [line.split() for line in lines if line.startswith("Good") and "1600" in line]
    assert good == ["Good", "16", "1600", *(["1", "/", "2"] * 3), "3.88", "800"]
    assert "  bad, before the first round: there is no compiler" in lines


def test_cpu_time_by_part_adds_up_with_what_is_spent_at_rest(journal: Journal):
    lines = render(result(journal)).splitlines()
    (heads,) = [line for line in lines if "detokenizer" in line]
    (cells, *_) = [line.split() for line in lines if line.startswith("Good, W1") and " 1 " in line]
    assert heads.split()[:4] == ["sessions", "model", "server", "decoder"]
    # At 100 tokens/s the decoder rests for 1.6 ms a token, the raylet for 0.8.
    model_server, *parts, at_rest, total, without = map(float, cells[3:])
    assert (model_server, at_rest, total, without) == (3.0, 2.4, 0.875, -1.52)
    assert sum(parts) + at_rest == pytest.approx(total)


def test_an_expectation_without_its_engines_is_said_not_to_be_measured(journal: Journal):
    lines = render(result(journal)).splitlines()
    (line,) = [line for line in lines if line.startswith("tokens/s at 16 / vLLM")]
    assert line.split()[5:] == ["not", "measured", ">=", "1.3", "without", "tensorloom-bf16,", "vllm"]
    assert "For comparison:" not in lines


def test_what_is_written_can_be_read_and_holds_every_point(journal: Journal, tmp_path: Path):
    made = result(journal)
    made.write(tmp_path / "compare.json")
    written = json.loads((tmp_path / "compare.json").read_text())
    assert len(written["points"]) == len(made.points) == 8
    assert [row["tokens_per_s"] for row in written["rows"]] == [100, 1600, 100, 1600]
    assert written["problems"][0]["reason"] == "there is no compiler"


def test_engines_are_named_once_and_by_their_key():
    assert all(name == engine.name for name, engine in ENGINES.items())
    assert len({engine.title for engine in ENGINES.values()}) == len(ENGINES)


def arguments(*given: str):
    return compare._arguments(given)


def test_a_quick_comparison_takes_a_few_engines_and_less_than_ten_minutes():
    given = arguments("--quick")
    assert [engine.name for engine in compare.chosen_engines(given)] == list(QUICK)
    assert given.seconds == 600


def test_preparing_may_take_longer_than_a_quick_comparison():
    assert arguments("--quick", "--prepare").seconds == arguments().seconds > 600


def test_one_model_of_a_comparison_can_be_chosen():
    chosen = compare.chosen_engines(arguments("--models", LLAMA))
    assert [engine.name for engine in chosen] == ["tensorloom-llama", "vllm-llama"]


def test_chosen_sessions_are_all_that_is_measured():
    plan = compare.chosen_plan(arguments("--quick", "--sessions", "4"))
    spots = {spot.sessions for name in QUICK for spot in plan.spots(ENGINES[name])}
    assert spots == {4}


def test_the_plan_asks_for_what_the_expectations_need():
    plan = compare.chosen_plan(arguments("--quick"))
    measured = {spot for name in QUICK for spot in plan.spots(ENGINES[name])}
    needed = {spot for each in EXPECTED for spot in each.needs if spot.engine in QUICK}
    assert needed <= measured
