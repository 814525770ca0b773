"""A comparison as it is written down: everything measured, and what it comes to."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.compare.expected import Finding, findings
from bench.compare.plan import Plan
from bench.compare.points import Point, Points, Problem
from bench.compare.summary import Row, rows
from bench.engines.engine import Engine
from bench.machine import Machine
from bench.workload import WORKLOADS

KIND = "compare"


@dataclass
class Result:
    """Filled while the comparison goes on."""

    machine: Machine
    plan: Plan
    engines: Sequence[Engine]
    points: list[Point] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def add(self, news: Point | Problem) -> None:
        if isinstance(news, Point):
            self.points.append(news)
        else:
            self.problems.append(news)

    @property
    def rows(self) -> list[Row]:
        return rows(self.points)

    @property
    def findings(self) -> list[Finding]:
        return findings(Points(self.points))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self._json(), indent=1) + "\n")

    def _json(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": asdict(self.machine),
            "plan": asdict(self.plan),
            "workloads": {name: asdict(WORKLOADS[name]) for name in self.plan.workloads},
            "engines": [{"name": e.name, "title": e.title, "kind": e.kind} for e in self.engines],
            "rows": [asdict(row) for row in self.rows],
            "expected": [asdict(finding) for finding in self.findings],
            "problems": [asdict(problem) for problem in self.problems],
            "points": [asdict(point) for point in self.points],
        }
