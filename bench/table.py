"""A summary as plain text. Pure."""

from bench.rounds import Plan
from bench.summary import NaiveRow, Row, Summary
from bench.text import aligned, number, spread
from bench.workload import Workload

EXPECTED_SESSIONS = 16
EXPECTED_TIMES_NAIVE = 5.0

_HEADERS = (
    ("", "", "first token ms", "inter-token ms", "pause ms", "tokens", "times", "times"),
    ("sessions", "tokens/s", "p50 / p99", "p50 / p99", "p50 / p99", "per chunk", "naive", "raw step"),
)


def render(workload: Workload, plan: Plan, summary: Summary, rounds: int, stopped: bool) -> str:
    """The report: one table, the two comparisons, CPU time, and what was expected."""
    note = ["The time was used up before all was measured."] if stopped else []
    return "\n".join(
        [
            f"{workload.model}: {workload.prompt_tokens} prompt tokens, {workload.new_tokens} new, greedy;",
            f"medians of {rounds} rounds with {plan.seconds:g} s per point",
            *note,
            "",
            "Over HTTP, streaming:",
            *aligned([*_HEADERS, *(_cells(row) for row in summary.rows)]),
            "",
            _naive(summary.naive),
            "",
            f"Raw step in process, {workload.mean_past} tokens in the state:",
            *aligned([("batch", "tokens/s", "step ms"), *_raw_cells(summary)]),
            "",
            *_cpu(summary),
            *_expectation(summary),
            "",
        ]
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        str(row.sessions),
        number(row.tokens_per_s),
        spread(row.first_token_ms),
        spread(row.inter_token_ms),
        spread(row.pause_ms),
        number(row.tokens_per_chunk),
        number(row.times_naive),
        number(row.times_raw),
    )


def _naive(row: NaiveRow) -> str:
    return (
        f"Naive loop, one session: {number(row.tokens_per_s)} tokens/s, "
        f"first token {spread(row.first_token_ms)} ms, inter-token {spread(row.inter_token_ms)} ms"
    )


def _raw_cells(summary: Summary) -> list[tuple[str, ...]]:
    return [(str(raw.batch), number(raw.tokens_per_s), spread(raw.step_ms)) for raw in summary.raw]


def _cpu(summary: Summary) -> list[str]:
    row = summary.at(EXPECTED_SESSIONS)
    if row is None or not row.cpu_ms_per_token:
        return []
    largest = sorted(row.cpu_ms_per_token.items(), key=lambda item: -item[1])[:6]
    return [
        f"CPU ms per token at {row.sessions} sessions: model server {number(row.model_server_cpu_ms)}, "
        f"all else {number(row.other_cpu_ms)}; the load generator {number(row.client_cpu_ms_per_token)}",
        "  " + ", ".join(f"{part} {number(spent)}" for part, spent in largest),
        "",
    ]


def _expectation(summary: Summary) -> list[str]:
    row = summary.at(EXPECTED_SESSIONS)
    if row is None or row.times_naive is None:
        return []
    return [
        f"Expected at {row.sessions} sessions: at least {EXPECTED_TIMES_NAIVE:g} times the naive loop; "
        f"measured: {number(row.times_naive)} times"
    ]
