"""What a verification measured, what of it is allowed, and how it is told."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from export.errors import VerificationError
from export.verification.compared import Compared
from export.verification.difference import Difference

REFERENCE = "reference"
DECODE = "prefill and decode"
PIECES = "in pieces"
BATCH_STATE = "state of a ragged batch"
BATCH = "ragged batch"
STEPS_STATE = "state after several steps"
STEPS = "several steps"
_ANOTHER_ROW = "a row's padding, or another row, must not reach it"
_MANY_STEPS = "many steps in one call must give what single ones do"
MEANING = {
    REFERENCE: "the reference computes something else",
    DECODE: "a text at once and token by token must give the same",
    PIECES: "a text at once and in pieces, wherever they are kept, must give the same",
    BATCH_STATE: _ANOTHER_ROW,
    BATCH: _ANOTHER_ROW,
    STEPS_STATE: _MANY_STEPS,
    STEPS: _MANY_STEPS,
}
"""What it means that a claim fails. A state comes before the scores that follow from it."""
KL = 0.05
"""Nats that the probabilities of a position may lie apart, in the mean."""


@dataclass(frozen=True)
class Tolerance:
    """The largest figures that are."""

    error: float
    """Of scores and states."""
    kl: float = KL


@dataclass(frozen=True)
class Figures:
    """What was compared, by claim."""

    compared: dict[str, Compared]
    states: dict[str, Difference]
    """Where they can be seen."""
    drift: Difference | None
    """Of states after a text at once and token by token: no error by itself, where they mean the same."""
    scale: float
    """The largest absolute score."""

    def judged(self, reference: Compared) -> "Figures":
        """With what a reference says."""
        return replace(self, compared={REFERENCE: reference} | self.compared)


def tolerance(scale: float) -> float:
    """The largest error that float32's rounding explains for scores up to `scale`."""
    return 1e-4 + 1e-6 * scale


def check(figures: Figures, allowed: Tolerance) -> None:
    """VerificationError for what is not allowed, or is not a number."""
    for claim, given in _errors(figures):
        if not given.size <= allowed.error:
            told = f"max abs error {given.size:.2e} of {given.tensor!r} is above {allowed.error:.2e}"
            raise VerificationError(f"{claim}: {told}: {_meaning(claim, figures)}")
    for claim, compared in figures.compared.items():
        if not compared.kl <= allowed.kl:
            told = f"mean KL divergence {compared.kl:.2e} is above {allowed.kl:.2e}"
            raise VerificationError(f"{claim}: {told}: {_meaning(claim, figures)}")


def _errors(figures: Figures) -> Iterator[tuple[str, Difference]]:
    known = figures.states | {claim: compared.error for claim, compared in figures.compared.items()}
    return ((claim, known[claim]) for claim in MEANING if claim in known)


def _meaning(claim: str, figures: Figures) -> str:
    drift = figures.drift
    if claim != DECODE or drift is None:
        return MEANING[claim]
    return f"{MEANING[claim]}; of the states, {drift.tensor!r} differs most, by {drift.size:.2e}"
