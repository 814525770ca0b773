"""`python -m bench compare`: engines side by side."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import bounded, machine
from bench.commands import options
from bench.commands.plot import try_to_draw
from bench.compare import plan as plans
from bench.compare import run, table
from bench.compare.points import Point, Problem
from bench.compare.result import Result
from bench.engines.table import ENGINES
from bench.rounds import Budget
from bench.workload import WORKLOADS

SECONDS = 4 * 3600


def main(given: Sequence[str]) -> int:
    arguments = _arguments(given)
    return bounded.run(lambda: _compare(arguments), arguments.seconds)


def _compare(arguments: argparse.Namespace) -> None:
    budget = Budget(arguments.seconds - bounded.ENDING_S)
    result = Result(machine.describe(), _plan(arguments), [ENGINES[name] for name in arguments.engines])
    setup, written = options.setup(arguments), arguments.out / "compare.json"

    def record(news: Point | Problem) -> None:
        result.add(news)
        result.write(written)

    engines = run.prepared(result.engines, setup, result.add)
    if arguments.prepare:
        print(f"ready: {', '.join(engine.name for engine in engines)}")
        return
    try:
        run.run(result.plan, engines, setup, budget, record)
    finally:
        _report(result, written)


def _report(result: Result, written: Path) -> None:
    text = table.render(result)
    written.with_suffix(".txt").write_text(text)
    print(text, end="")
    if result.points:
        try_to_draw(written)


def _plan(arguments: argparse.Namespace) -> plans.Plan:
    given = {
        "rounds": arguments.rounds,
        "sessions": arguments.sessions and tuple(arguments.sessions),
        "workloads": arguments.workloads and tuple(arguments.workloads),
        "seconds": arguments.seconds_per_point,
    }
    base = plans.QUICK if arguments.quick else plans.FULL
    return replace(base, **{name: value for name, value in given.items() if value})


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = options.parser("compare", "Measure engines side by side.", SECONDS)
    names = list(ENGINES)
    parser.add_argument(
        "--engines", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), help="(W1 W2)")
    parser.add_argument("--sessions", type=int, nargs="+", help="at a time (1 8 16 32)")
    parser.add_argument("--rounds", type=int, help=f"({plans.FULL.rounds})")
    parser.add_argument("--seconds-per-point", type=float, help=f"({plans.FULL.seconds:g})")
    parser.add_argument("--prepare", action="store_true", help="install and convert what is missing, no more")
    return parser.parse_args(given)
