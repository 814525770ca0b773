"""The order of measurements under a clock that only measuring moves, with the demo's preset."""

import contextlib
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import demo
from bench.engines.contender import Contender, ContenderKind, Measure, Setup, already_running
from bench.points import Point, Problem
from bench.random_model.servables import Cache
from bench.rounds import Budget, run
from bench.workload import Workload
from tests.bench.figures import measurement

ASKED = Workload("tiny", prompt_tokens=64, new_tokens=128, vocabulary=16)
PLAN = replace(demo.plan(ASKED, rounds=2, sessions=(1, 16), seconds=8.0), warm_up_s=0.0)
SETUP = Setup(Cache(Path()), Path())


@dataclass
class Bench:
    """Contenders that take as long as they are asked to, and note that they were measured."""

    time: float = 0.0
    calls: list[str] = field(default_factory=list)
    news: list[Point | Problem] = field(default_factory=list)

    def contender(
        self, name: str, kind: ContenderKind, share: float = 1.0, most: int | None = None
    ) -> Contender:
        def measure(_asked: Workload, sessions: int, seconds: float):
            self.time += share * seconds
            self.calls += [f"{name} {sessions}"] if seconds else []
            return measurement(100)

        return already_running(name, kind, measure, most)

    def run(self, seconds: float, plan=PLAN) -> list[Point]:
        contenders = [
            self.contender("http", ContenderKind.OWN),
            self.contender("naive", ContenderKind.NAIVE, most=1),
            self.contender("raw", ContenderKind.RAW, share=0.25),
        ]
        run(plan, contenders, SETUP, Budget(seconds, lambda: self.time), self.news.append)
        return [news for news in self.news if isinstance(news, Point)]


def test_every_round_measures_every_way_once_and_every_second_one_backwards():
    bench = Bench()
    assert {point.round for point in bench.run(seconds=1000)} == {0, 1}
    assert bench.calls == [
        *["http 1", "http 16", "naive 1", "raw 1", "raw 16"],
        *["raw 1", "raw 16", "naive 1", "http 1", "http 16"],
    ]


def test_contenders_that_run_all_the_time_are_warmed_up_in_the_first_round_only():
    bench = Bench()
    bench.run(seconds=1000, plan=replace(PLAN, warm_up_s=2.0))
    assert bench.calls[:4] == ["http 1", "http 1", "http 16", "http 16"]
    assert len(bench.calls) == 10 + 2


def test_nothing_begins_that_would_exceed_the_budget():
    bench = Bench()
    bench.run(seconds=45)
    assert bench.time <= 45


def test_a_round_that_is_cut_short_keeps_what_it_measured():
    first, *others = [point.spot for point in Bench().run(seconds=17) if point.spot.engine != "raw"]
    assert (first.engine, first.sessions) == ("http", 1)
    assert others == []


def test_a_contender_that_the_time_cuts_short_is_a_problem():
    bench = Bench()
    bench.run(seconds=17)
    problems = [news for news in bench.news if isinstance(news, Problem) and news.round == 0]
    assert Problem(0, "http", "the time was used up") in problems


def test_no_time_gives_no_rounds():
    assert Bench().run(seconds=3) == []


def test_what_is_started_for_a_turn_ends_with_it():
    ended = []

    @contextlib.contextmanager
    def started(_setup: Setup):
        measure: Measure = lambda *_: measurement(1)  # noqa: E731
        yield measure
        ended.append(True)

    contender = Contender("a", "A", ContenderKind.OWN, lambda _: None, started)
    run(PLAN, [contender], SETUP, Budget(1000), lambda _: None)
    assert len(ended) == PLAN.rounds
