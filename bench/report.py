"""The text of a comparison: a table for each model and workload, CPU time, and the expectations. Pure."""

from collections.abc import Iterator, Sequence

from bench.comparison import REFERENCE_SESSIONS, Comparison, Finding
from bench.engines.contender import MODEL_TITLES, ContenderKind
from bench.points import PointSummary, Problem
from bench.tables import labelled, largest, number, spread
from bench.usage import MODEL_SERVER, ROLES, by_role

_REASON = 300
"""Characters at the end of a reason that are shown."""
_COLUMNS = (
    ("", "", "", "first token", "inter-token", "pause", "CPU ms", "tok/s"),
    ("", "sessions", "tok/s", "p50 / p99", "p50 / p99", "p50 / p99", "a token", "per GiB"),
)
_LISTED = 7
"""The most processes that a line lists."""


def render(comparison: Comparison) -> str:
    """Returns the whole text."""
    parts = [_heading(comparison), *_tables(comparison), _own_cpu(comparison), _other_cpu(comparison)]
    parts += [_expected(comparison.findings), _compared(comparison.ratios)]
    if comparison.problems:
        parts.append(["Problems:", *map(_problem, comparison.problems)])
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _heading(comparison: Comparison) -> list[str]:
    plan, machine = comparison.plan, comparison.machine
    rounds = "one round" if plan.rounds == 1 else f"medians of up to {plan.rounds} rounds"
    return [
        f"{comparison.title}, greedy; client and servers on one machine",
        f"({machine.cores} cores, {machine.cpu}); {rounds}, {plan.seconds:g} s per point. "
        "Milliseconds to the first token, between tokens and between chunks.",
        "CPU time and memory (shared pages counted once) are those of all processes of an engine.",
        "Raw steps are without prefill; their first token is the prefill of all rows in one call.",
    ]


def _tables(comparison: Comparison) -> Iterator[list[str]]:
    models = {each.name: each.model for each in comparison.contenders}
    for key in dict.fromkeys((models[row.engine], row.workload) for row in comparison.rows):
        rows = [row for row in comparison.rows if (models[row.engine], row.workload) == key]
        yield _table(comparison, *key, rows)


def _table(comparison: Comparison, model: str, workload: str, rows: Sequence[PointSummary]) -> list[str]:
    """Returns one line for each number of sessions and engine, engines with one number side by side."""
    (asked, *_) = (comparison.plan.asked(row.spot) for row in rows)
    lengths = f"{workload}: {asked.prompt_tokens} prompt tokens, {asked.new_tokens} new"
    cells = [_cells(comparison, row) for row in sorted(rows, key=lambda row: row.sessions)]
    return [f"{MODEL_TITLES[model]}; {lengths}", *labelled([*_COLUMNS, *cells])]


def _cells(comparison: Comparison, row: PointSummary) -> list[str]:
    latencies = map(spread, (row.first_token_ms, row.inter_token_ms, row.pause_ms))
    figures = map(number, (row.cpu_ms, row.tokens_per_s_per_gib))
    title = comparison.title_of(row.engine)
    return [title, str(row.sessions), number(row.tokens_per_s), *latencies, *figures]


def _own_cpu(comparison: Comparison) -> list[str]:
    """Returns this application's CPU time by part, each without what it spends at rest."""
    rows = [row for row in comparison.rows if row.rest_cpu_ms_per_s]
    if not rows:
        return []
    head = ["", "sessions", *ROLES, "at rest", "all but model server", "without rest"]
    lines = ["CPU ms per token by part, without what each spends at rest, which is a column of its own:"]
    lines += labelled([head, *(_cpu_cells(comparison, row) for row in rows)])
    for engine in dict.fromkeys(row.engine for row in rows):
        (first, *_) = (row.rest_cpu_ms_per_s for row in rows if row.engine == engine)
        rest = {part: ms for part, ms in first.items() if part != MODEL_SERVER}
        lines.append(
            f"{comparison.title_of(engine)}, at rest: {number(sum(rest.values()))} ms of CPU a second, "
            f"of which {largest(rest, _LISTED)}"
        )
    return lines


def _cpu_cells(comparison: Comparison, row: PointSummary) -> list[str]:
    rate = row.tokens_per_s or 1.0
    spent, rest = by_role(row.cpu_ms_per_token), by_role(row.rest_cpu_ms_per_s)
    busy = [spent[role] - (0 if role == MODEL_SERVER else rest[role] / rate) for role in ROLES]
    sums = (row.at_rest_cpu_ms, row.orchestration_cpu_ms, row.without_rest_cpu_ms)
    label = comparison.title_of(row.engine)
    return [f"{label}, {row.workload}", str(row.sessions), *map(number, (*busy, *sums))]


def _other_cpu(comparison: Comparison) -> list[str]:
    """Returns other servers' CPU time by process."""
    servers = {each.name for each in comparison.contenders if each.kind == ContenderKind.SERVER}
    lines = [
        f"  {comparison.title_of(row.engine)}, {row.sessions}: {largest(row.cpu_ms_per_token, _LISTED)}"
        for row in comparison.rows
        if row.engine in servers and row.cpu_ms_per_token and row.sessions in (8, REFERENCE_SESSIONS)
    ]
    return ["CPU ms per token of other servers, by process:", *lines] if lines else []


def _expected(found: Sequence[Finding]) -> list[str]:
    rows = labelled([["", "measured", "bound"], *([f.says, _measured(f), f.bound] for f in found)])
    verdicts = ["", *map(_verdict, found)]
    lines = [f"{row}  {verdict}".rstrip() for row, verdict in zip(rows, verdicts, strict=True)]
    return ["Expected (ratios within a round):", *lines]


def _measured(finding: Finding) -> str:
    return "not measured" if finding.value is None else number(finding.value)


def _verdict(finding: Finding) -> str:
    if finding.missing:
        return f"without {', '.join(finding.missing)}"
    return {True: "kept", False: "not kept", None: ""}[finding.kept]


def _compared(found: Sequence[Finding]) -> list[str]:
    rows = [[each.says, number(each.value)] for each in found if each.value is not None]
    return ["For comparison:", *labelled(rows)] if rows else []


def _problem(problem: Problem) -> str:
    when = "before the first round" if problem.round is None else f"round {problem.round + 1}"
    return f"  {problem.engine}, {when}: {' '.join(problem.reason.split())[-_REASON:]}"
