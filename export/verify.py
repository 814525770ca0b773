"""Checks a written servable before it is published: against the reference, and against itself.

Four claims: the logits are the reference's; prefill and then decoding is one full forward; a padded batch of
ragged rows is each row alone; several steps in one call are as many single ones. Runs the servable by the
contract alone and knows no family.
"""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from contract import names
from contract.manifest import Manifest
from contract.tensors import Array
from export.difference import Difference, between, largest, of_all
from export.errors import VerificationError
from export.servable import Reference, Servable
from export.stepper import Decoded, Ids, Result, State, Stepper

PROMPT_LENGTHS = (1, 7, 33, 130)
DECODED = 16
"""Tokens that are decoded one by one after each prompt."""

logger = logging.getLogger(__name__)


_MEANING = {
    "reference": "the reference computes something else",
    "prefill and decode": "a text at once and token by token must give the same",
    "state of a ragged batch": "a row's padding, or another row, must not reach it",
    "ragged batch": "a row's padding, or another row, must not reach it",
    "several steps": "many steps in one call must give what single ones do",
}
"""What it means that a claim fails."""


@dataclass(frozen=True)
class Figures:
    """What was measured: largest absolute differences."""

    reference: Difference | None
    """Of logits. None: there was no reference."""
    agreement: float | None
    """The part of positions whose likeliest id is the reference's."""
    decode: Difference
    """Of logits."""
    drift: Difference | None
    """Of states after the same; no error by itself."""
    mixed: Difference | None
    """Of the states of rows in a batch. None: there is no state."""
    batch: Difference
    """Of their logits."""
    steps: Difference | None
    """Of states, and how far the logits of chosen tokens lie below the largest. None: no `decode`."""
    scale: float
    """The largest absolute logit."""

    @property
    def errors(self) -> dict[str, Difference]:
        """By claim."""
        measured = (self.reference, self.decode, self.mixed, self.batch, self.steps)
        return {claim: error for claim, error in zip(_MEANING, measured, strict=True) if error is not None}

    def __str__(self) -> str:
        errors = ", ".join(f"{name} {error.size:.1e}" for name, error in self.errors.items())
        agreement = "no reference" if self.agreement is None else f"greedy agreement {self.agreement:.1%}"
        return f"max abs error: {errors}; {agreement}"


@dataclass(frozen=True)
class _Trial:
    """A sequence of ids, of which the first `prompt` are given at once."""

    ids: Ids
    prompt: int


@dataclass(frozen=True)
class _Run:
    """What a trial gave: logits (steps, vocabulary) from the prompt's end on, and the last state."""

    logits: Array
    state: State


def verify(directory: Path, servable: Servable) -> Figures:
    """The figures of what lies in `directory`; VerificationError where it is not `servable`."""
    stepper = Stepper(directory)
    if stepper.manifest != servable.manifest or stepper.tokenizer != servable.tokenizer:
        raise VerificationError("the manifest signature does not answer what was written")
    figures = measure(stepper, servable.reference)
    logger.info("verified: %s", figures)
    check(figures, servable.exact)
    return figures


def check(figures: Figures, exact: bool) -> None:
    """VerificationError for an error that rounding does not explain; one that is not a number, if inexact."""
    allowed = tolerance(figures.scale) if exact else math.inf
    for claim, error in figures.errors.items():
        if not error.size <= allowed:
            raise VerificationError(
                f"{claim}: max abs error {error.size:.2e} of {error.tensor!r} is above {allowed:.2e}: "
                f"{_MEANING[claim]}{_drifted(figures) if error is figures.decode else ''}"
            )


def _drifted(figures: Figures) -> str:
    drift = figures.drift
    return f"; of the states, {drift.tensor!r} differs most, by {drift.size:.2e}" if drift else ""


def tolerance(scale: float) -> float:
    """The largest error that float32's rounding explains for logits up to `scale`."""
    return 1e-4 + 1e-6 * scale


def measure(stepper: Stepper, reference: Reference | None) -> Figures:
    trials = _trials(stepper.manifest)
    progress = tqdm(trials, desc="verifying", unit="prompt", leave=False, disable=None)
    singles = [_decode(stepper, [trial])[0] for trial in progress]
    for trial, run in zip(trials, singles, strict=True):
        _check_values(trial, run)
    expected = [] if reference is None else _expected(reference, trials)
    decode, drift = _decode_errors(stepper, trials, singles)
    batch, mixed = _errors(_decode(stepper, trials), singles)
    return Figures(
        reference=_reference_error(singles, expected) if expected else None,
        agreement=_agreement([run.logits for run in singles], expected) if expected else None,
        decode=decode,
        drift=drift,
        mixed=mixed,
        batch=batch,
        steps=_steps_error(stepper, trials) if stepper.manifest.decode_steps else None,
        scale=max(float(np.abs(run.logits).max()) for run in singles),
    )


def _trials(manifest: Manifest) -> list[_Trial]:
    """Random ids; prompts of several lengths, as far as the context holds them."""
    rng = np.random.default_rng(0)
    decoded = min(DECODED, manifest.context_length - 1)
    lengths = sorted({min(length, manifest.context_length - decoded) for length in PROMPT_LENGTHS})
    sizes = [(length, length + decoded) for length in lengths]
    return [_Trial(rng.integers(0, manifest.vocabulary_size, n).astype(np.int32), p) for p, n in sizes]


def _decode(stepper: Stepper, trials: Sequence[_Trial]) -> list[_Run]:
    """All trials in one batch: the prompts at once, then token by token."""
    results = stepper.run([trial.ids[: trial.prompt] for trial in trials])
    steps = [results]
    for i in range(len(trials[0].ids) - trials[0].prompt):
        tokens = [trial.ids[trial.prompt + i :][:1] for trial in trials]
        results = stepper.run(tokens, [result.state for result in results])
        steps.append(results)
    return [
        _Run(np.stack([step[row].logits for step in steps]), results[row].state) for row in range(len(trials))
    ]


def _expected(reference: Reference, trials: Sequence[_Trial]) -> list[Array]:
    answers = reference([trial.ids for trial in trials])
    return [logits[trial.prompt - 1 :] for trial, logits in zip(trials, answers, strict=True)]


def _check_values(trial: _Trial, run: _Run) -> None:
    """VerificationError for what no decode loop can go on with."""
    # A state that is none makes logits that are none.
    for name, value in {**run.state, names.LOGITS: run.logits}.items():
        if not np.isfinite(value).all():
            after = f"a prompt of {trial.prompt} tokens and {len(trial.ids) - trial.prompt} single ones"
            raise VerificationError(f"{name!r} is nan or infinite after {after}")
    if run.logits.shape[1] > 1 and (run.logits >= 0).all() and np.allclose(run.logits.sum(1), 1, atol=1e-3):
        raise VerificationError(
            f"{names.LOGITS!r} are probabilities, which sum to 1: give what their softmax is taken of"
        )


def _reference_error(singles: Sequence[_Run], expected: Sequence[Array]) -> Difference:
    pairs = zip(singles, expected, strict=True)
    return largest(between(names.LOGITS, run.logits, logits) for run, logits in pairs)


def _decode_errors(
    stepper: Stepper, trials: Sequence[_Trial], singles: Sequence[_Run]
) -> tuple[Difference, Difference | None]:
    """Of logits, and of states, which may differ where they mean the same."""
    whole = [stepper.run([trial.ids])[0] for trial in trials]
    ends = [_Run(run.logits[-1], run.state) for run in singles]
    return _errors([_Run(result.logits, result.state) for result in whole], ends)


def _errors(given: Sequence[_Run], expected: Sequence[_Run]) -> tuple[Difference, Difference | None]:
    """Of logits, and of states where there are some."""
    pairs = list(zip(given, expected, strict=True))
    logits = [between(names.LOGITS, run.logits, other.logits) for run, other in pairs]
    states = [of_all(run.state, other.state) for run, other in pairs if other.state]
    return largest(logits), largest(states) if states else None


def _steps_error(stepper: Stepper, trials: Sequence[_Trial]) -> Difference:
    """All trials in one call, with ragged numbers of steps, against single steps fed with the same tokens."""
    results = stepper.run([trial.ids[: trial.prompt] for trial in trials])
    if not all(np.isfinite(result.logits).all() for result in results):
        return Difference(math.nan, names.LOGITS)
    tokens = [int(result.logits.argmax()) for result in results]
    budgets = [max(1, len(trial.ids) - trial.prompt - 3 * i) for i, trial in enumerate(trials)]
    together = stepper.decode(tokens, [r.state for r in results], [trial.prompt for trial in trials], budgets)
    errors = []
    for token, result, budget, decoded in zip(tokens, results, budgets, together, strict=True):
        if len(decoded.tokens) != budget:
            raise VerificationError(f"several steps: {len(decoded.tokens)} tokens came of {budget}")
        errors.append(_single_steps_error(stepper, token, result, decoded))
    return largest(errors)


def _single_steps_error(stepper: Stepper, token: int, result: Result, decoded: Decoded) -> Difference:
    errors = []
    for chosen in decoded.tokens:
        result = stepper.run([np.array([token], np.int32)], [result.state])[0]
        errors.append(Difference(float(result.logits.max() - result.logits[chosen]), names.LOGITS))
        token = chosen
    if result.state:
        errors.append(of_all(decoded.state, result.state))
    return largest(errors)


def _agreement(given: Sequence[Array], expected: Sequence[Array]) -> float:
    same = [a.argmax(axis=1) == b.argmax(axis=1) for a, b in zip(given, expected, strict=True)]
    return float(np.concatenate(same).mean())
