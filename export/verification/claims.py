"""The claims of a verification, what was measured for each, and the errors that are allowed. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from export.errors import VerificationError
from export.verification.difference import Difference
from export.verification.score_comparison import ScoreComparison

REFERENCE = "reference"
DECODE = "prefill and decode"
PIECES = "in pieces"
BATCH_STATE = "state of a ragged batch"
BATCH = "ragged batch"
STEPS_STATE = "state after several steps"
STEPS = "several steps"
_ANOTHER_ROW = "a row's padding, or another row, must not reach it"
_MANY_STEPS = "many steps in one call must give the same as single steps"
MEANING = {
    REFERENCE: "the reference computes something else",
    DECODE: "a sequence at once and token by token must give the same",
    PIECES: "a prompt at once and in pieces, in any slot, must give the same",
    BATCH_STATE: _ANOTHER_ROW,
    BATCH: _ANOTHER_ROW,
    STEPS_STATE: _MANY_STEPS,
    STEPS: _MANY_STEPS,
}
"""What a failure of each claim means. A state comes before the scores that follow from it."""
KL = 0.05
"""The default bound of the mean Kullback-Leibler divergence, in nats per position."""
INT8_KL = 0.25
"""The default bound with int8 weights, or int8 keys and values."""


@dataclass(frozen=True)
class Tolerance:
    """The largest measurements that are allowed."""

    error: float
    """Absolute error of scores and states."""
    kl: float = KL


@dataclass(frozen=True)
class Measurements:
    """The measurements of a verification, by claim."""

    scores: dict[str, ScoreComparison]
    states: dict[str, Difference]
    """Empty where the state cannot be read."""
    drift: Difference | None
    """Between the states after a sequence at once and token by token. Not an error by itself: two different
    states may mean the same."""
    scale: float
    """The largest absolute score."""

    def with_reference(self, reference: ScoreComparison) -> "Measurements":
        """Returns these measurements with the comparison with a reference as the first."""
        return replace(self, scores={REFERENCE: reference} | self.scores)


def tolerance(scale: float) -> float:
    """Returns the largest error that rounding in float32 explains for scores up to `scale`."""
    return 1e-4 + 1e-6 * scale


def check(measured: Measurements, allowed: Tolerance) -> None:
    """Raises VerificationError for the first measurement that is NaN or above what is allowed."""
    for claim, error in _errors(measured):
        if not error.size <= allowed.error:
            found = f"max abs error {error.size:.2e} of {error.tensor!r} is above {allowed.error:.2e}"
            raise VerificationError(f"{claim}: {found}: {_meaning(claim, measured)}")
    for claim, scores in measured.scores.items():
        if not scores.kl <= allowed.kl:
            found = f"mean KL divergence {scores.kl:.2e} is above {allowed.kl:.2e}"
            raise VerificationError(f"{claim}: {found}: {_meaning(claim, measured)}")


def _errors(measured: Measurements) -> Iterator[tuple[str, Difference]]:
    errors = measured.states | {claim: scores.error for claim, scores in measured.scores.items()}
    return ((claim, errors[claim]) for claim in MEANING if claim in errors)


def _meaning(claim: str, measured: Measurements) -> str:
    drift = measured.drift
    if claim != DECODE or drift is None:
        return MEANING[claim]
    return f"{MEANING[claim]}; of the states, {drift.tensor!r} differs most, by {drift.size:.2e}"
