"""A summary as plain text. Pure."""

from collections.abc import Sequence

from bench.rounds import Plan
from bench.spread import Spread
from bench.summary import NaiveRow, Row, Summary
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
            *_aligned([*_HEADERS, *(_cells(row) for row in summary.rows)]),
            "",
            _naive(summary.naive),
            "",
            f"Raw step in process, {workload.mean_past} tokens in the state:",
            *_aligned([("batch", "tokens/s", "step ms"), *_raw_cells(summary)]),
            "",
            *_cpu(summary),
            *_expectation(summary),
            "",
        ]
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        str(row.sessions),
        _number(row.tokens_per_s),
        _spread(row.first_token_ms),
        _spread(row.inter_token_ms),
        _spread(row.pause_ms),
        _number(row.tokens_per_chunk),
        _number(row.times_naive),
        _number(row.times_raw),
    )


def _naive(row: NaiveRow) -> str:
    return (
        f"Naive loop, one session: {_number(row.tokens_per_s)} tokens/s, "
        f"first token {_spread(row.first_token_ms)} ms, inter-token {_spread(row.inter_token_ms)} ms"
    )


def _raw_cells(summary: Summary) -> list[tuple[str, ...]]:
    return [(str(raw.batch), _number(raw.tokens_per_s), _spread(raw.step_ms)) for raw in summary.raw]


def _cpu(summary: Summary) -> list[str]:
    row = summary.at(EXPECTED_SESSIONS)
    if row is None or not row.cpu_ms_per_token:
        return []
    largest = sorted(row.cpu_ms_per_token.items(), key=lambda item: -item[1])[:6]
    return [
        f"CPU ms per token at {row.sessions} sessions: model server {_number(row.model_server_cpu_ms)}, "
        f"all else {_number(row.other_cpu_ms)}; the load generator {_number(row.client_cpu_ms_per_token)}",
        "  " + ", ".join(f"{part} {_number(spent)}" for part, spent in largest),
        "",
    ]


def _expectation(summary: Summary) -> list[str]:
    row = summary.at(EXPECTED_SESSIONS)
    if row is None or row.times_naive is None:
        return []
    return [
        f"Expected at {row.sessions} sessions: at least {EXPECTED_TIMES_NAIVE:g} times the naive loop; "
        f"measured: {_number(row.times_naive)} times"
    ]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell, flush right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def _spread(spread: Spread) -> str:
    return f"{_number(spread.p50)} / {_number(spread.p99)}"


def _number(value: float | None) -> str:
    """About three digits; `-` where nothing was measured."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
