"""One run: everything started, measured in rounds, reduced, and written down."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from bench.contenders import started
from bench.rounds import Budget, Measures, Plan, Round, run
from bench.settings import Settings
from bench.summary import Summary, summarize
from bench.table import render
from bench.workload import Lengths, Workload

_WARM_UP_S = 2.0


@dataclass(frozen=True)
class Options:
    """What is measured, and for how long."""

    settings: Settings
    lengths: Lengths
    plan: Plan
    seconds: float
    """For everything, starting included and ending not."""
    out: Path


def benchmark(options: Options) -> str:
    """Run everything, write the results into `options.out`, and hand back the table."""
    budget = Budget(options.seconds)
    facts = machine.describe()
    options.out.mkdir(parents=True, exist_ok=True)
    with started(options.settings, options.lengths, options.out, budget) as (workload, measures):
        _warm_up(options.plan, measures)
        rounds = list(run(options.plan, measures, budget))
    summary = summarize(rounds, options.plan.sessions)
    stopped = len(rounds) < options.plan.rounds or not all(_complete(r, options.plan) for r in rounds)
    table = render(workload, options.plan, summary, len(rounds), stopped)
    result = _result(facts, workload, options.plan, summary, rounds) | {"stopped_early": stopped}
    (options.out / "latest.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.out / "latest.txt").write_text(table)
    return table


def _warm_up(plan: Plan, measures: Measures) -> None:
    seconds = min(_WARM_UP_S, plan.seconds)
    for sessions in plan.sessions:
        measures.http(sessions, seconds)
    measures.naive(seconds)


def _result(
    facts: machine.Machine, workload: Workload, plan: Plan, summary: Summary, rounds: Sequence[Round]
) -> dict[str, object]:
    return {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(facts),
        "workload": asdict(workload),
        "plan": asdict(plan),
        "summary": asdict(summary),
        "rounds": [asdict(done) for done in rounds],
    }


def _complete(done: Round, plan: Plan) -> bool:
    wanted = set(plan.sessions)
    return done.http.keys() == wanted and done.raw.keys() == wanted and done.naive is not None
