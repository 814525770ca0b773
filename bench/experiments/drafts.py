"""Sessions with and without a draft model, one session and eight.

The model has GPT-2's smallest shape; the draft model, of two narrow layers, predicts most of its tokens. The
text never repeats itself, so that prompt lookup finds nothing. One application serves the model twice, and
both are measured in every round.
"""

from dataclasses import dataclass, replace

from bench import target
from bench.engines.contender import Setup, workload
from bench.engines.tensorloom import serving
from bench.load import Served
from bench.random_model.servables import CHAINED, CHAINED_DRAFT, base_path
from bench.spread import median, ratio
from bench.tables import labelled, number
from bench.workload import WORKLOADS, Workload

_SESSIONS = (1, 8)
_PLAIN, _DRAFTED = "chained", "chained-drafted"
"""The model's names in the application, without and with its draft model."""


@dataclass(frozen=True)
class DraftRound:
    """Tokens per second of both in one round, and the part of the drafted tokens that was accepted."""

    plain: float | None
    drafted: float | None
    accepted: float | None
    """None: no drafts were made."""


@dataclass(frozen=True)
class DraftRow:
    """All rounds of a number of sessions."""

    sessions: int
    rounds: tuple[DraftRound, ...]


@dataclass(frozen=True)
class DraftSpeed:
    """One row for each number of sessions."""

    rows: tuple[DraftRow, ...]


def measure(setup: Setup, quick: bool) -> DraftSpeed:
    """Measures both in turn, with every number of sessions."""
    seconds, rounds = (4.0, 1) if quick else (20.0, 3)
    draft = base_path(setup.cache, CHAINED_DRAFT)
    plain = target.single(_PLAIN, base_path(setup.cache, CHAINED), setup.decoder)
    with serving(setup, target.with_drafted(plain, _DRAFTED, draft)) as served:
        return DraftSpeed(
            tuple(
                DraftRow(count, tuple(_round(served, count, seconds) for _ in range(rounds)))
                for count in _SESSIONS
            )
        )


def _round(served: Served, sessions: int, seconds: float) -> DraftRound:
    plain = _tokens_per_s(served, _PLAIN, sessions, seconds)
    before = _counts(served)
    drafted = _tokens_per_s(served, _DRAFTED, sessions, seconds)
    made, accepted = (after - b for after, b in zip(_counts(served), before, strict=True))
    return DraftRound(plain, drafted, accepted / made if made else None)


def _tokens_per_s(served: Served, model: str, sessions: int, seconds: float) -> float | None:
    asked: Workload = workload(WORKLOADS["W1"], model)
    measured = replace(served, model=model).measure(asked, sessions, seconds)
    return measured.latencies.tokens_per_s


def _counts(served: Served) -> tuple[int, int]:
    """Returns how many tokens were drafted and accepted so far."""
    status = served.address.fetch("/health")["models"][_DRAFTED]
    return status["drafted"], status["accepted"]


def render(measured: DraftSpeed) -> str:
    """Returns a line for each number of sessions: medians over the rounds, and of the rounds' ratios."""
    cells = [["sessions", "without", "with a draft model", "times as fast", "accepted"]]
    for row in measured.rows:
        accepted = median(each.accepted for each in row.rounds)
        cells.append(
            [
                str(row.sessions),
                number(median(each.plain for each in row.rounds)),
                number(median(each.drafted for each in row.rounds)),
                number(median(ratio(each.drafted, each.plain) for each in row.rounds)),
                "no drafts" if accepted is None else f"{accepted:.0%}",
            ]
        )
    return "\n".join(["W1, tokens/s of all sessions:", *labelled(cells), ""])
