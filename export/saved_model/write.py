"""Writes a model as the version directory `<base>/<name>/<version>/`: aside, verified, renamed into place.

A model server sees a version only when it is complete: until the rename it lies in a directory whose name is
not a number. The verification is passed in as a function that raises.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import tensorflow as tf

from contract import names
from contract.manifest import EXPLICIT, RESIDENT
from export import runtime
from export.errors import VersionError
from export.signatures import explicit_decode, resident, step_signature
from export.signatures.servable import ExportedModel
from export.transformer_model.weights import forget

Signatures: TypeAlias = dict[str, tf.types.experimental.ConcreteFunction]

logger = logging.getLogger(__name__)


def write(model: ExportedModel, base: Path, version: int | None, verify: Callable[[Path], object]) -> Path:
    """Writes, verifies and publishes `model`; returns the version directory.

    If `verify` raises, no version is left behind. Frees the model's weights once they are written, so it
    cannot be written again. Raises VersionError if the version exists or cannot be published.
    """
    parent = base / model.manifest.name
    target = target_of(parent, version)
    parent.mkdir(parents=True, exist_ok=True)
    with _aside(parent) as directory:
        _save(model, directory)
        forget(model.weights)
        runtime.free_memory()
        logger.info("verifying")
        verify(directory)
        _publish(directory, target)
    return target


def target_of(parent: Path, version: int | None) -> Path:
    """Returns the directory of `version`, or of the next free one; raises VersionError if it exists."""
    taken = [int(path.name) for path in parent.glob("*") if path.name.isdecimal()]
    if version is None:
        version = max(taken, default=0) + 1
    if version < 1:
        raise VersionError(f"version {version} must be at least 1")
    if version in taken:
        raise VersionError(f"version {version} exists already: {parent / str(version)}")
    return parent / str(version)


@contextmanager
def _aside(parent: Path) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix=".partial-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        _remove_if_empty(parent)


def _remove_if_empty(directory: Path) -> None:
    if not any(directory.iterdir()):
        directory.rmdir()


def _save(model: ExportedModel, directory: Path) -> None:
    logger.info("tracing the signatures of %s", model.manifest.name)
    root = tf.Module()
    signatures = _TRACERS[model.manifest.state_layout](model)
    # The graph refers to its variables but does not own them: the root must.
    root.owned = _variables(signatures)
    signatures[names.MANIFEST_SIGNATURE] = _manifest(model)
    logger.info("writing %d variables", len(root.owned))
    tf.saved_model.save(root, str(directory), signatures=signatures)


def _explicit(model: ExportedModel) -> Signatures:
    step = step_signature.trace(model)
    signatures = {names.STEP_SIGNATURE: step}
    if model.manifest.decode_steps:
        signatures[names.DECODE_SIGNATURE] = explicit_decode.trace(step, model.manifest)
    return signatures


_TRACERS = {EXPLICIT: _explicit, RESIDENT: resident.trace}


def _variables(signatures: Signatures) -> list[tf.Variable]:
    """Returns the variables of all signatures, each once."""
    return list(
        {id(variable): variable for each in signatures.values() for variable in each.variables}.values()
    )


def _manifest(model: ExportedModel) -> tf.types.experimental.ConcreteFunction:
    text = model.manifest.to_json()

    def manifest() -> dict[str, tf.Tensor]:
        return {
            names.MANIFEST: tf.constant(text),
            names.TOKENIZER: tf.constant(model.tokenizer),
        }

    return tf.function(manifest, autograph=False).get_concrete_function()


def _publish(directory: Path, target: Path) -> None:
    directory.chmod(0o755)
    try:
        os.rename(directory, target)
    except OSError as error:
        raise VersionError(f"version {target.name} cannot be published: {error}") from error
