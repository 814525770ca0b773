"""A comparison as plain text. Pure."""

from collections.abc import Sequence

from bench.compare.expected import Finding
from bench.compare.plan import REFERENCE_SESSIONS, Plan
from bench.compare.result import Result
from bench.compare.summary import Row
from bench.spread import Spread
from bench.text import labelled, number, spread
from bench.workload import WORKLOADS

_NOTHING = Row("", "", 0, 0, None, Spread(None, None), Spread(None, None), Spread(None, None), None, None, {})
_REASON = 300
"""Characters of a reason's end."""


def render(result: Result) -> str:
    """One table for each workload, what was expected, and what went wrong."""
    parts = [_heading(result)]
    parts += [_workload(result, name) for name in result.plan.workloads]
    parts += [_cpu(result.rows), _expected(result.findings)]
    if result.problems:
        parts.append(["Problems:", *(_problem(p.engine, p.round, p.reason) for p in result.problems)])
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _heading(result: Result) -> list[str]:
    plan = result.plan
    return [
        "GPT-2's smallest shape, random weights, greedy; client and servers on one machine",
        f"({result.machine.cores} cores, {result.machine.cpu}); medians of up to {plan.rounds} rounds, "
        f"{plan.seconds:g} s per point. Raw steps are without prefill; their first token is the prefill.",
    ]


def _workload(result: Result, name: str) -> list[str]:
    plan, lengths = result.plan, WORKLOADS[name]
    latest = _reference(plan)
    head = [
        ["", *["tok/s"] * len(plan.sessions), *["first"] * len(plan.sessions), "inter-token", "pause"],
        ["sessions", *2 * [str(count) for count in plan.sessions], f"at {latest}", f"at {latest}"],
    ]
    cells = {(row.engine, row.sessions): row for row in result.rows if row.workload == name}
    measured = [e for e in result.engines if any(engine == e.name for engine, _ in cells)]
    body = []
    for engine in measured:
        own = [cells.get((engine.name, count), _NOTHING) for count in plan.sessions]
        at = cells.get((engine.name, latest), _NOTHING)
        body.append([engine.title, *_row(own), spread(at.inter_token_ms), spread(at.pause_ms)])
    return [
        f"{name}: {lengths.prompt} prompt tokens, {lengths.new} new; tokens/s, then milliseconds to the "
        "first token (p50), between tokens and between chunks (p50 / p99)",
        *labelled([*head, *body]),
    ]


def _row(own: Sequence[Row]) -> list[str]:
    rates = [number(row.tokens_per_s) for row in own]
    return rates + [number(row.first_token_ms.p50) for row in own]


def _reference(plan: Plan) -> int:
    return REFERENCE_SESSIONS if REFERENCE_SESSIONS in plan.sessions else max(plan.sessions)


def _cpu(rows: Sequence[Row]) -> list[str]:
    shown = [row for row in rows if row.cpu_ms_per_token and row.sessions == REFERENCE_SESSIONS]
    lines = []
    for row in shown:
        largest = sorted(row.cpu_ms_per_token.items(), key=lambda item: -item[1])[:7]
        lines.append(
            f"  {row.engine} {row.workload}: "
            + ", ".join(f"{part} {number(spent)}" for part, spent in largest)
        )
    return [f"CPU ms per token at {REFERENCE_SESSIONS} sessions, by process:", *lines] if lines else []


def _expected(found: Sequence[Finding]) -> list[str]:
    verdicts = {True: "kept", False: "not kept", None: ""}
    rows = [[f.says, number(f.value), f.bound, verdicts[f.kept]] for f in found]
    return ["Expected (W1; ratios within a round):", *labelled([["", "measured", "bound", ""], *rows])]


def _problem(engine: str, number_: int | None, reason: str) -> str:
    when = "before the first round" if number_ is None else f"round {number_ + 1}"
    return f"  {engine}, {when}: {' '.join(reason.split())[-_REASON:]}"
