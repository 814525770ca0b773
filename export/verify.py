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

from contract.manifest import Manifest
from contract.tensors import Array
from export.errors import VerificationError
from export.servable import Reference, Servable
from export.stepper import Decoded, Ids, Result, State, Stepper

PROMPT_LENGTHS = (1, 7, 33, 130)
DECODED = 16
"""Tokens that are decoded one by one after each prompt."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Figures:
    """What was measured; errors are the largest absolute differences, of logits if nothing else is said."""

    reference: float | None
    """None: there was no reference."""
    agreement: float | None
    """The part of positions whose likeliest id is the reference's."""
    decode: float
    batch: float
    """Of logits and of states."""
    steps: float | None
    """Of states, and how far the logits of chosen tokens lie below the largest. None: no `decode`."""
    scale: float
    """The largest absolute logit."""

    @property
    def errors(self) -> dict[str, float]:
        named = {
            "reference": self.reference,
            "prefill and decode": self.decode,
            "ragged batch": self.batch,
            "several steps": self.steps,
        }
        return {name: error for name, error in named.items() if error is not None}

    def __str__(self) -> str:
        errors = ", ".join(f"{name} {error:.1e}" for name, error in self.errors.items())
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
    for name, error in figures.errors.items():
        if not error <= allowed:
            raise VerificationError(f"{name}: max abs error {error:.2e} is above {allowed:.2e}")


def tolerance(scale: float) -> float:
    """The largest error that float32's rounding explains for logits up to `scale`."""
    return 1e-4 + 1e-6 * scale


def measure(stepper: Stepper, reference: Reference | None) -> Figures:
    trials = _trials(stepper.manifest)
    progress = tqdm(trials, desc="verifying", unit="prompt", leave=False, disable=None)
    singles = [_decode(stepper, [trial])[0] for trial in progress]
    expected = [] if reference is None else _expected(reference, trials)
    return Figures(
        reference=_largest(_differences([run.logits for run in singles], expected)) if expected else None,
        agreement=_agreement([run.logits for run in singles], expected) if expected else None,
        decode=_decode_error(stepper, trials, singles),
        batch=_batch_error(_decode(stepper, trials), singles),
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


def _decode_error(stepper: Stepper, trials: Sequence[_Trial], singles: Sequence[_Run]) -> float:
    whole = [stepper.run([trial.ids])[0].logits for trial in trials]
    return _largest(_differences([run.logits[-1] for run in singles], whole))


def _batch_error(together: Sequence[_Run], singles: Sequence[_Run]) -> float:
    errors = _differences([run.logits for run in together], [run.logits for run in singles])
    for name in singles[0].state:
        errors += _differences([run.state[name] for run in together], [run.state[name] for run in singles])
    return _largest(errors)


def _steps_error(stepper: Stepper, trials: Sequence[_Trial]) -> float:
    """All trials in one call, with ragged numbers of steps, against single steps fed with the same tokens."""
    results = stepper.run([trial.ids[: trial.prompt] for trial in trials])
    if not all(np.isfinite(result.logits).all() for result in results):
        return math.nan
    tokens = [int(result.logits.argmax()) for result in results]
    budgets = [max(1, len(trial.ids) - trial.prompt - 3 * i) for i, trial in enumerate(trials)]
    together = stepper.decode(tokens, [r.state for r in results], [trial.prompt for trial in trials], budgets)
    errors = []
    for token, result, budget, decoded in zip(tokens, results, budgets, together, strict=True):
        if len(decoded.tokens) != budget:
            raise VerificationError(f"several steps: {len(decoded.tokens)} tokens came of {budget}")
        errors.append(_single_steps_error(stepper, token, result, decoded))
    return _largest(errors)


def _single_steps_error(stepper: Stepper, token: int, result: Result, decoded: Decoded) -> float:
    errors = []
    for chosen in decoded.tokens:
        result = stepper.run([np.array([token], np.int32)], [result.state])[0]
        errors.append(float(result.logits.max() - result.logits[chosen]))
        token = chosen
    names = result.state.keys()
    errors += _differences([decoded.state[name] for name in names], [result.state[name] for name in names])
    return _largest(errors)


def _agreement(given: Sequence[Array], expected: Sequence[Array]) -> float:
    same = [a.argmax(axis=1) == b.argmax(axis=1) for a, b in zip(given, expected, strict=True)]
    return float(np.concatenate(same).mean())


def _differences(given: Sequence[Array], expected: Sequence[Array]) -> list[float]:
    pairs = zip(given, expected, strict=True)
    return [float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max()) for a, b in pairs]


def _largest(errors: Sequence[float]) -> float:
    """Not a number where one of them is not."""
    return float(np.max(errors))
