"""Measures as planned: one engine is alive at a time, and all have their turn in every round.

An engine that cannot be prepared, started or measured is a problem that is told, not the end.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TypeAlias

from bench.bounded import FAILURES
from bench.compare.plan import Plan
from bench.compare.points import Point, Problem
from bench.engines.engine import Engine, Setup, workload
from bench.rounds import Budget
from bench.workload import WORKLOADS

Record: TypeAlias = Callable[[Point | Problem], None]


def prepared(engines: Sequence[Engine], setup: Setup, record: Record) -> list[Engine]:
    """Those that could be installed and given their model."""
    ready = []
    for engine in engines:
        try:
            engine.prepare(setup)
        except FAILURES as error:
            record(_told(Problem(None, engine.name, str(error))))
        else:
            ready.append(engine)
    return ready


def run(plan: Plan, engines: Sequence[Engine], setup: Setup, budget: Budget, record: Record) -> None:
    for number, ordered in plan.order(engines):
        for engine in ordered:
            if not budget.allows(plan.cost_s(engine)):
                record(_told(Problem(number, engine.name, "the time was used up")))
                continue
            try:
                _measure(plan, number, engine, setup, record)
            except FAILURES as error:
                record(_told(Problem(number, engine.name, str(error) or type(error).__name__)))


def _measure(plan: Plan, number: int, engine: Engine, setup: Setup, record: Record) -> None:
    print(f"round {number + 1}: {engine.title}", file=sys.stderr)
    with engine.started(setup) as measure:
        for spot in plan.spots(engine):
            asked = workload(WORKLOADS[spot.workload], phrase=engine.phrase)
            if plan.warms_up(engine):
                measure(asked, spot.sessions, plan.warm_up_s)
            record(Point(number, spot, measure(asked, spot.sessions, plan.seconds)))


def _told(problem: Problem) -> Problem:
    print(f"{problem.engine}: {problem.reason}", file=sys.stderr)
    return problem
