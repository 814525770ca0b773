"""A comparison of engines as plain text. Pure."""

from collections.abc import Sequence

from bench.comparison import REFERENCE_SESSIONS, Comparison, Finding
from bench.points import Points, PointSummary, Problem, Spot, summary
from bench.tables import labelled, largest, number, spread

_REASON = 300
"""Characters at the end of a reason that are shown."""


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
