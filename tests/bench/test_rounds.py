"""The order of measurements under a clock that only measuring moves."""

from dataclasses import dataclass, field

from bench.rounds import Budget, Measures, Plan, Round, run
from tests.bench.figures import http, naive, raw

PLAN = Plan(rounds=2, sessions=(1, 16), seconds=8.0)


@dataclass
class Bench:
    """Measures that take as long as they are told, and note that they ran."""

    time: float = 0.0
    calls: list[str] = field(default_factory=list)

    def pass_(self, name: str, seconds: float) -> None:
        self.time += seconds
        self.calls.append(name)

    @property
    def measures(self) -> Measures:
        return Measures(
            lambda sessions, seconds: self.pass_(f"http {sessions}", seconds) or http(100),
            lambda seconds: self.pass_("naive", seconds) or naive(10),
            lambda batch, seconds: self.pass_(f"raw {batch}", seconds) or raw(1000),
        )

    def run(self, seconds: float) -> list[Round]:
        return list(run(PLAN, self.measures, Budget(seconds, lambda: self.time)))


def test_every_round_measures_every_way_once():
    bench = Bench()
    assert len(bench.run(seconds=1000)) == 2
    assert bench.calls == 2 * ["http 1", "http 16", "naive", "raw 1", "raw 16"]


def test_nothing_begins_that_would_exceed_the_budget():
    bench = Bench()
    bench.run(seconds=45)
    assert bench.time <= 45


def test_a_round_that_is_cut_short_keeps_what_it_measured():
    first, *others = Bench().run(seconds=17)
    assert list(first.http) == [1]
    assert first.naive is None
    assert others == []


def test_no_time_gives_no_rounds():
    assert Bench().run(seconds=5) == []
