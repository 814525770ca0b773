"""Figures as a table."""

from collections.abc import Sequence
from math import isfinite

from export.verification.figures import Figures, Tolerance
from export.verification.trials import Trials

HEAD = ("", "positions", "max abs error", "mean KL", "greedy agreement")


def table(scores: str, trials: Trials, figures: Figures, allowed: Tolerance) -> str:
    rows = [HEAD]
    for claim, each in figures.compared.items():
        error = f"{each.error.size:.1e}"
        rows.append((claim, str(each.positions), error, f"{each.kl:.1e}", f"{each.agreement:.1%}"))
    rows += [(claim, "", f"{each.size:.1e}", "", "") for claim, each in figures.states.items()]
    error = f"{allowed.error:.1e}" if isfinite(allowed.error) else "any"
    rows.append(("allowed", "", error, f"{allowed.kl:.1e}", ""))
    return "\n".join([f"{_texts(trials)}; errors of {scores}", *_aligned(rows), *_skipped(trials)])


def _texts(trials: Trials) -> str:
    lengths = [len(prompt) for prompt in trials.prompts]
    return f"prompts of {_listed(lengths)} tokens, {trials.tokens} greedy ones after each"


def _skipped(trials: Trials) -> list[str]:
    if not trials.skipped:
        return []
    return [f"not tried, since it would take long: prompts of {_listed(trials.skipped)} tokens"]


def _listed(lengths: Sequence[int]) -> str:
    return ", ".join(map(str, lengths))


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The first column flush left, the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows
    ]
