"""The order of a comparison, and what becomes of engines that fail."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import rounds
from bench.compare import ALL_WORKLOADS, ENGINES, EXPECTED, render
from bench.comparison import Comparison
from bench.engines.contender import Contender, ContenderKind, Measure, Setup
from bench.errors import ProcessEnded, Unavailable
from bench.latency import Measurement
from bench.points import Point, Problem, Spot
from bench.random_model.servables import Cache
from bench.results import describe_machine
from bench.rounds import Budget, RoundPlan
from bench.workload import Workload
from tests.bench.figures import measurement

PLAN = RoundPlan(rounds=2, workloads=ALL_WORKLOADS, sessions=(1, 16), seconds=5.0, warm_up_s=2.0)
W2 = {"W2": ALL_WORKLOADS["W2"]}


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
            return measurement(100.0 * sessions)

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
    made = Comparison("the title", describe_machine(), PLAN, engines, EXPECTED)
    setup = Setup(Cache(Path()), Path())
    rounds.run(PLAN, rounds.prepared(engines, setup, made.add), setup, Budget(1e6), made.add)
    return made


def test_the_table_has_a_line_for_each_engine_and_names_what_failed(journal: Journal):
    lines = render(result(journal)).splitlines()
    (good,) = [line.split() for line in lines if line.startswith("Good") and "1600" in line][:1]
    assert good[:5] == ["Good", "100", "1600", "1", "1"]
    assert "  bad, before the first round: there is no compiler" in lines


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
