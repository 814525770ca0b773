"""Formats the measurements of a verification as a table."""

from collections.abc import Sequence
from math import isfinite

from export.verification.claims import Measurements, Tolerance
from export.verification.prompts import TrialPrompts

HEAD = ("", "positions", "max abs error", "mean KL", "greedy agreement")


def table(score_name: str, prompts: TrialPrompts, measured: Measurements, allowed: Tolerance) -> str:
    """Returns one line for each claim, between a heading and what is allowed."""
    rows = [HEAD]
    for claim, scores in measured.scores.items():
        error = f"{scores.error.size:.1e}"
        rows.append((claim, str(scores.positions), error, f"{scores.kl:.1e}", f"{scores.agreement:.1%}"))
    rows += [(claim, "", f"{state.size:.1e}", "", "") for claim, state in measured.states.items()]
    error = f"{allowed.error:.1e}" if isfinite(allowed.error) else "any"
    rows.append(("allowed", "", error, f"{allowed.kl:.1e}", ""))
    return "\n".join([f"{_heading(prompts)}; errors of {score_name}", *_aligned(rows), *_skipped(prompts)])


def _heading(prompts: TrialPrompts) -> str:
    lengths = [len(prompt) for prompt in prompts.prompts]
    return f"prompts of {_listed(lengths)} tokens, {prompts.tokens} greedy ones after each"


def _skipped(prompts: TrialPrompts) -> list[str]:
    if not prompts.skipped:
        return []
    return [f"not tried, because it would take long: prompts of {_listed(prompts.skipped)} tokens"]


def _listed(lengths: Sequence[int]) -> str:
    return ", ".join(map(str, lengths))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligns the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
