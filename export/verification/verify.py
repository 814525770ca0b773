"""Checks what was written: against a reference, and against itself, in either layout.

At every export, before the version is published, and whenever somebody asks. Runs the servable by the
contract alone and knows no family.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contract.manifest import EXPLICIT, RESIDENT
from export import runtime
from export.errors import VerificationError
from export.saved_model.published import Published
from export.signatures.servable import ExportedModel, Reference
from export.verification import comparisons
from export.verification.explicit import ExplicitRunner
from export.verification.figures import KL, Figures, Tolerance, check, tolerance
from export.verification.resident import ResidentRunner
from export.verification.runner import Runner
from export.verification.table import table
from export.verification.trials import TOKENS, Trials, choose

RUNNERS: dict[str, Callable[[Path], Runner]] = {EXPLICIT: ExplicitRunner, RESIDENT: ResidentRunner}
EXACT = {"float32", "float64"}
"""Dtypes of weights whose results are those of the reference up to the rounding of float32."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What a verification is to do and to allow."""

    tokens: int = TOKENS
    """That follow each prompt."""
    error: float | None = None
    """None: what rounding explains, where that can be said."""
    kl: float = KL


@dataclass(frozen=True)
class Verified:
    """What was measured, and what of it is allowed."""

    scores: str
    trials: Trials
    figures: Figures
    allowed: Tolerance

    def __str__(self) -> str:
        return table(self.scores, self.trials, self.figures, self.allowed)

    def check(self) -> None:
        """VerificationError for what is not allowed."""
        check(self.figures, self.allowed)


def verify(directory: Path, servable: ExportedModel, asked: Asked | None = None) -> Verified:
    """What lies in `directory`, as far as it is `servable`; VerificationError where it is not."""
    runner = RUNNERS[servable.manifest.state_layout](directory)
    if runner.manifest != servable.manifest or runner.tokenizer != servable.tokenizer:
        raise VerificationError("the manifest signature does not answer what was written")
    parameters = Published(directory).parameters
    verified = measure(runner, parameters, servable.reference, servable.exact, asked or Asked())
    logger.info("verified: %s", verified)
    verified.check()
    return verified


def published(version: Published, reference: Reference | None, asked: Asked) -> Verified:
    """What lies in a version directory; nothing of it is checked yet."""
    runner = RUNNERS[version.manifest.state_layout](version.directory)
    return measure(runner, version.parameters, reference, set(version.dtypes) <= EXACT, asked)


def measure(
    runner: Runner, parameters: int, reference: Reference | None, exact: bool, asked: Asked
) -> Verified:
    """`exact`: errors beyond rounding are none. The runner is closed then."""
    # Its graph was several things while it was loaded.
    runtime.give_back()
    trials = choose(runner.manifest, parameters, asked.tokens)
    figures, texts = comparisons.measure(runner, trials)
    # The reference gets the memory that the servable had.
    runner.close()
    runtime.give_back()
    if reference is not None:
        figures = figures.judged(comparisons.against(reference, runner, texts))
    error = asked.error or (tolerance(figures.scale) if exact else math.inf)
    return Verified(runner.scores, trials, figures, Tolerance(error, asked.kl))
