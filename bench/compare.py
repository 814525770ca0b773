"""`python -m bench compare`: the random model, engines side by side."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench import command_line
from bench.comparison import REFERENCE_SESSIONS, Comparison, Expectation, Finding, times
from bench.engines import llama, naive, packages, raw, tensorloom
from bench.engines.contender import workload
from bench.plot import try_to_draw
from bench.points import Points, PointSummary, Problem, Spot, orchestration_ms, summary, whole_answers
from bench.results import describe_machine
from bench.rounds import Budget, RoundPlan, prepared
from bench.tables import labelled, largest, number, spread
from bench.workload import WORKLOADS

SECONDS = 4 * 3600
TITLE = "GPT-2's smallest shape, random weights"
ENGINES = {
    contender.name: contender
    for contender in (
        tensorloom.BF16,
        raw.BF16,
        packages.VLLM,
        packages.OPENVINO,
        tensorloom.F32,
        raw.F32,
        tensorloom.EXPLICIT,
        raw.EXPLICIT,
        tensorloom.REPETITIVE,
        packages.TRANSFORMERS_SERVE,
        llama.BF16,
        llama.Q8,
        naive.STATE,
        naive.PREFIX,
        packages.TRANSFORMERS_GENERATE,
        packages.KERAS_HUB,
    )
}
"""In the order in which a round measures them."""
ALL_WORKLOADS = {name: workload(lengths) for name, lengths in WORKLOADS.items()}
FULL = RoundPlan(rounds=3, workloads=ALL_WORKLOADS, sessions=(1, 8, 16, 32), seconds=12.0, warm_up_s=3.0)
QUICK = RoundPlan(
    rounds=1, workloads={"W1": ALL_WORKLOADS["W1"]}, sessions=(1, 16), seconds=3.0, warm_up_s=1.0
)
_REASON = 300
"""Characters at the end of a reason that are shown."""
SERVERS = ("vllm", "transformers-serve", "llama-bf16")
"""Other servers with weights of the same width."""


def _times(
    says: str,
    bases: Sequence[str],
    sessions: int,
    at_least: float | None = None,
    own: str = "tensorloom-bf16",
    base_sessions: int | None = None,
    **base_value: Any,
) -> Expectation:
    others = [Spot(base, "W1", base_sessions or sessions) for base in bases]
    return times(f"tokens/s at {says}", Spot(own, "W1", sessions), others, at_least, **base_value)


EXPECTED = (
    _times("16 / raw step", ["raw-bf16"], 16, 0.90),
    _times("16 / raw prefill and steps", ["raw-bf16"], 16, base_value=whole_answers(WORKLOADS["W1"].new)),
    _times("16 / best other server", SERVERS, 16, 1.0),
    _times("32 / best other server", SERVERS, 32, 1.0),
    _times("1 / best other server", SERVERS, 1, 0.8),
    _times("1, repetitive text / best other server", SERVERS, 1, 1.5, "tensorloom-repetitive"),
    _times("16 / naive loop, state to and fro", ["naive"], 16, 20, base_sessions=1),
    _times("16 / naive loop, whole prefix anew", ["naive-prefix"], 16, base_sessions=1),
    _times("16 / llama.cpp server, 8-bit weights", ["llama-q8_0"], 16),
    _times("1 / llama.cpp server, 8-bit weights", ["llama-q8_0"], 1),
    _times("16 / OpenVINO in process", ["openvino"], 16),
    _times("1 / OpenVINO in process", ["openvino"], 1),
    Expectation(
        f"orchestration CPU ms per token at {REFERENCE_SESSIONS} sessions",
        lambda points: points.median(Spot("tensorloom-bf16", "W1", REFERENCE_SESSIONS), orchestration_ms),
        at_most=0.3,
    ),
)


def main(given: Sequence[str]) -> int:
    """Runs the command and returns its exit status."""
    arguments = _arguments(given)
    return command_line.run(lambda: _compare(arguments), arguments.seconds)


def _compare(arguments: argparse.Namespace) -> None:
    budget = Budget(arguments.seconds - command_line.ENDING_S)
    chosen = [ENGINES[name] for name in arguments.engines]
    comparison = Comparison(TITLE, describe_machine(), _plan(arguments), chosen, EXPECTED)
    setup, written = command_line.setup(arguments), arguments.out / "compare.json"
    ready = prepared(chosen, setup, comparison.add)
    if arguments.prepare:
        print(f"ready: {', '.join(contender.name for contender in ready)}")
        return
    try:
        comparison.run(ready, setup, budget, written, render)
    finally:
        if comparison.points:
            try_to_draw(written)


def _plan(arguments: argparse.Namespace) -> RoundPlan:
    given = {
        "rounds": arguments.rounds,
        "sessions": arguments.sessions and tuple(arguments.sessions),
        "workloads": arguments.workloads and {name: ALL_WORKLOADS[name] for name in arguments.workloads},
        "seconds": arguments.seconds_per_point,
    }
    base = QUICK if arguments.quick else FULL
    return replace(base, **{name: value for name, value in given.items() if value})


def render(comparison: Comparison) -> str:
    """Returns a table for each workload, CPU time, the expectations, and the problems."""
    parts = [_heading(comparison)]
    parts += [_workload(comparison, name) for name in comparison.plan.workloads]
    parts += [_cpu(comparison.rows), _expected(comparison.findings)]
    if comparison.problems:
        parts.append(["Problems:", *map(_problem, comparison.problems)])
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _heading(comparison: Comparison) -> list[str]:
    plan, machine = comparison.plan, comparison.machine
    return [
        f"{comparison.title}, greedy; client and servers on one machine",
        f"({machine.cores} cores, {machine.cpu}); medians of up to {plan.rounds} rounds, "
        f"{plan.seconds:g} s per point. Raw steps are without prefill; their first token is the prefill.",
    ]


def _workload(comparison: Comparison, name: str) -> list[str]:
    plan, asked = comparison.plan, comparison.plan.workloads[name]
    detailed = REFERENCE_SESSIONS if REFERENCE_SESSIONS in plan.sessions else max(plan.sessions)
    table = [
        ["", *["tok/s"] * len(plan.sessions), *["first"] * len(plan.sessions), "inter-token", "pause"],
        ["sessions", *2 * [str(count) for count in plan.sessions], f"at {detailed}", f"at {detailed}"],
    ]
    points = Points(comparison.points)
    measured = {row.engine for row in comparison.rows if row.workload == name}
    for contender in comparison.contenders:
        if contender.name in measured:
            row = {count: summary(points, Spot(contender.name, name, count)) for count in plan.sessions}
            at = row[detailed]
            rates = [number(row[count].tokens_per_s) for count in plan.sessions]
            firsts = [number(row[count].first_token_ms.p50) for count in plan.sessions]
            latencies = [spread(at.inter_token_ms), spread(at.pause_ms)]
            table.append([contender.title, *rates, *firsts, *latencies])
    return [
        f"{name}: {asked.prompt_tokens} prompt tokens, {asked.new_tokens} new; tokens/s, then milliseconds "
        "to the first token (p50), between tokens and between chunks (p50 / p99)",
        *labelled(table),
    ]


def _cpu(rows: Sequence[PointSummary]) -> list[str]:
    shown = [row for row in rows if row.cpu_ms_per_token and row.sessions == REFERENCE_SESSIONS]
    lines = [f"  {row.engine} {row.workload}: {largest(row.cpu_ms_per_token, 7)}" for row in shown]
    return [f"CPU ms per token at {REFERENCE_SESSIONS} sessions, by process:", *lines] if lines else []


def _expected(found: Sequence[Finding]) -> list[str]:
    verdicts = {True: "kept", False: "not kept", None: ""}
    rows = [[f.says, number(f.value), f.bound, verdicts[f.kept]] for f in found]
    return ["Expected (W1; ratios within a round):", *labelled([["", "measured", "bound", ""], *rows])]


def _problem(problem: Problem) -> str:
    when = "before the first round" if problem.round is None else f"round {problem.round + 1}"
    return f"  {problem.engine}, {when}: {' '.join(problem.reason.split())[-_REASON:]}"


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = command_line.random_model_parser("compare", "Measures engines side by side.", SECONDS)
    names = list(ENGINES)
    parser.add_argument(
        "--engines", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names)
    )
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), help="(W1 W2)")
    parser.add_argument("--sessions", type=int, nargs="+", help="concurrent sessions (1 8 16 32)")
    parser.add_argument("--rounds", type=int, help=f"({FULL.rounds})")
    parser.add_argument("--seconds-per-point", type=float, help=f"({FULL.seconds:g})")
    parser.add_argument("--prepare", action="store_true", help="only install and convert what is missing")
    return parser.parse_args(given)
