"""Verifies a servable of either layout, against a reference and against itself.

Runs at every export before the version is published, and in `python -m export verify`. Runs the servable
through the contract alone, whatever the model's family.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from contract.manifest import EXPLICIT, RESIDENT
from export import runtime
from export.errors import VerificationError
from export.saved_model.published import PublishedVersion
from export.signatures.servable import ExportedModel, Reference
from export.verification import measurement
from export.verification.claims import INT8_KL, KL, Measurements, Tolerance, check, tolerance
from export.verification.explicit_runner import ExplicitRunner
from export.verification.prompts import TOKENS, TrialPrompts, choose
from export.verification.resident_runner import ResidentRunner
from export.verification.runner import Runner
from export.verification.table import table

RUNNERS: dict[str, Callable[[Path], Runner]] = {EXPLICIT: ExplicitRunner, RESIDENT: ResidentRunner}
EXACT = {"float32", "float64"}
"""The dtypes of weights with which results differ from the reference's only by float32's rounding."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VerificationOptions:
    """The size of a verification, and the bounds that it allows."""

    tokens: int = TOKENS
    """The tokens decoded after each prompt."""
    error: float | None = None
    """The largest absolute error of a score. None: what rounding explains in float32, any in other dtypes."""
    kl: float | None = None
    """The largest mean Kullback-Leibler divergence, in nats. None: INT8_KL with int8 weights or int8 keys
    and values, else KL."""


@dataclass(frozen=True)
class VerificationReport:
    """The measurements of a verification, and the largest that are allowed; printed as a table."""

    score_name: str
    prompts: TrialPrompts
    measured: Measurements
    allowed: Tolerance

    def __str__(self) -> str:
        return table(self.score_name, self.prompts, self.measured, self.allowed)

    def check(self) -> None:
        """Raises VerificationError where a measurement is above what is allowed."""
        check(self.measured, self.allowed)


def verify(
    directory: Path, model: ExportedModel, options: VerificationOptions | None = None
) -> VerificationReport:
    """Verifies that `directory` holds `model`, and logs the report; raises VerificationError if not."""
    runner = RUNNERS[model.manifest.state_layout](directory)
    if runner.manifest != model.manifest or runner.tokenizer != model.tokenizer:
        raise VerificationError("the manifest signature does not return what was written")
    version = PublishedVersion(directory)
    report = measure(runner, version, model.reference, model.exact, options or VerificationOptions())
    logger.info("verified: %s", report)
    report.check()
    return report


def verify_version(
    version: PublishedVersion, reference: Reference | None, options: VerificationOptions
) -> VerificationReport:
    """Measures a version directory; the caller has to `check` the report."""
    runner = RUNNERS[version.manifest.state_layout](version.directory)
    exact = set(version.dtypes) <= EXACT and not _has_int8(version)
    return measure(runner, version, reference, exact, options)


def measure(
    runner: Runner,
    version: PublishedVersion,
    reference: Reference | None,
    exact: bool,
    options: VerificationOptions,
) -> VerificationReport:
    """Measures `version`, which is loaded as `runner`, and closes it.

    `exact`: errors are bounded by float32's rounding, unless the options set another bound.
    """
    # While it was loaded, the graph existed in several forms.
    runtime.free_memory()
    prompts = choose(runner.manifest, version.parameters, options.tokens)
    measured, baselines = measurement.measure(runner, prompts)
    # The reference can use the memory that the servable had.
    runner.close()
    runtime.free_memory()
    if reference is not None:
        logger.info("comparing with the reference")
        measured = measured.with_reference(measurement.compare_with_reference(reference, runner, baselines))
    error = options.error or (tolerance(measured.scale) if exact else math.inf)
    kl = options.kl or (INT8_KL if _has_int8(version) else KL)
    return VerificationReport(runner.score_name, prompts, measured, Tolerance(error, kl))


def _has_int8(version: PublishedVersion) -> bool:
    return version.quantized or version.int8_keys_values
