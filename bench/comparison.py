"""A comparison: the contenders, what was measured, what was expected of it, and how it is written down."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import rounds
from bench.engines.contender import Contender, Setup
from bench.points import Point, Points, PointSummary, Problem, Spot, Value, summaries, throughput
from bench.results import Machine, write_json
from bench.rounds import Budget, RoundPlan

KIND = "compare"
REFERENCE_SESSIONS = 16
"""The number of sessions whose figures are shown in detail."""


@dataclass(frozen=True)
class Expectation:
    """A figure of this application, and the bound that is expected to hold."""

    says: str
    value: Callable[[Points], float | None]
    needs: tuple[Spot, ...] = ()
    """Spots without which there is no value."""
    at_least: float | None = None
    at_most: float | None = None
    """Where both are None, the figure is shown for comparison only."""

    @property
    def bound(self) -> str:
        """The bound as text."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    def kept(self, value: float | None) -> bool | None:
        """Returns whether the bound holds; None where there is no bound or no value."""
        if value is None or not self.bound:
            return None
        return value >= (self.at_least or value) and value <= (self.at_most or value)


def times(
    says: str,
    own: Spot,
    bases: Sequence[Spot],
    value: Value = throughput,
    base_value: Value | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Expectation:
    """Expects a bound of `own`'s value divided by the highest base's in the same round.

    `base_value` is the bases' value, where it is another than `own`'s.
    """
    needs = (own, *bases) if len(bases) == 1 else (own,)
    return Expectation(
        says, lambda points: points.times(own, bases, value, base_value), needs, at_least, at_most
    )


@dataclass(frozen=True)
class Finding:
    """An expectation with the figure that was measured."""

    says: str
    bound: str
    value: float | None
    kept: bool | None
    missing: tuple[str, ...]
    """Engines whose figures it needs and that have none."""


def findings(points: Points, expectations: Sequence[Expectation]) -> list[Finding]:
    """Holds what was measured against every expectation."""
    return [_finding(points, each, each.value(points)) for each in expectations]


def _finding(points: Points, each: Expectation, value: float | None) -> Finding:
    missing = dict.fromkeys(spot.engine for spot in each.needs if not points.of(spot))
    return Finding(each.says, each.bound, value, each.kept(value), tuple(missing))


@dataclass
class Comparison:
    """Filled while the contenders are measured."""

    title: str
    machine: Machine
    plan: RoundPlan
    contenders: Sequence[Contender]
    expectations: Sequence[Expectation]
    points: list[Point] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    compared: Sequence[Expectation] = ()
    """Further figures without a bound."""

    def add(self, news: Point | Problem) -> None:
        """Records a point or a problem."""
        if isinstance(news, Point):
            self.points.append(news)
        else:
            self.problems.append(news)

    @property
    def rows(self) -> list[PointSummary]:
        """Medians over the rounds, one row for each spot."""
        return summaries(self.points)

    @property
    def findings(self) -> list[Finding]:
        """The expectations with what was measured."""
        return findings(Points(self.points), self.expectations)

    @property
    def ratios(self) -> list[Finding]:
        """The further figures."""
        return findings(Points(self.points), self.compared)

    def title_of(self, engine: str) -> str:
        """Returns the title of an engine that is compared."""
        return next(each.title for each in self.contenders if each.name == engine)

    def run(
        self,
        ready: Sequence[Contender],
        setup: Setup,
        budget: Budget,
        written: Path,
        render: Callable[["Comparison"], str],
    ) -> None:
        """Measures, writing the result after every point, and prints the table, also if interrupted."""

        def record(news: Point | Problem) -> None:
            self.add(news)
            self.write(written)

        try:
            rounds.run(self.plan, ready, setup, budget, record)
        finally:
            text = render(self)
            written.with_suffix(".txt").write_text(text)
            print(text, end="")

    def write(self, path: Path) -> None:
        """Writes everything as JSON."""
        write_json(path, KIND, self.machine, self._content())

    def _content(self) -> dict[str, Any]:
        workloads = self.plan.workloads.items()
        return {
            "title": self.title,
            "plan": asdict(self.plan),
            "workloads": {name: {"prompt": w.prompt_tokens, "new": w.new_tokens} for name, w in workloads},
            "engines": [{"name": c.name, "title": c.title, "kind": c.kind} for c in self.contenders],
            "rows": [asdict(row) for row in self.rows],
            "expected": [asdict(finding) for finding in self.findings],
            "compared": [asdict(finding) for finding in self.ratios],
            "problems": [asdict(problem) for problem in self.problems],
            "points": [asdict(point) for point in self.points],
        }
