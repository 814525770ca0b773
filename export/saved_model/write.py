"""Writes a servable as `<base>/<name>/<version>/`: built aside, checked, then renamed into place.

A model server sees a version only when it is whole: until the rename it lies in a directory whose name
is not a number. Knows nothing of the check but that it may raise.
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


def write(servable: ExportedModel, base: Path, version: int | None, verify: Callable[[Path], object]) -> Path:
    """The published version directory; whatever `verify` raises leaves none behind.

    The servable's own weights are forgotten: it cannot be written once more.
    """
    model = base / servable.manifest.name
    target = target_of(model, version)
    model.mkdir(parents=True, exist_ok=True)
    with _aside(model) as directory:
        _save(servable, directory)
        forget(servable.weights)
        runtime.give_back()
        logger.info("verifying")
        verify(directory)
        _publish(directory, target)
    return target


def target_of(model: Path, version: int | None) -> Path:
    """Where `version`, or the next free one, goes; VersionError where it exists."""
    taken = [int(path.name) for path in model.glob("*") if path.name.isdecimal()]
    if version is None:
        version = max(taken, default=0) + 1
    if version < 1:
        raise VersionError(f"version {version} must be at least 1")
    if version in taken:
        raise VersionError(f"version {version} exists already: {model / str(version)}")
    return model / str(version)


@contextmanager
def _aside(model: Path) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix=".partial-", dir=model))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        _remove_if_empty(model)


def _remove_if_empty(model: Path) -> None:
    if not any(model.iterdir()):
        model.rmdir()


def _save(servable: ExportedModel, directory: Path) -> None:
    logger.info("tracing %s", servable.manifest.name)
    root = tf.Module()
    signatures = _TRACERS[servable.manifest.state_layout](servable)
    # The graph refers to its variables but does not own them: the root must.
    root.owned = _variables(signatures)
    signatures[names.MANIFEST_SIGNATURE] = _manifest(servable)
    logger.info("writing %d variables", len(root.owned))
    tf.saved_model.save(root, str(directory), signatures=signatures)


def _explicit(servable: ExportedModel) -> Signatures:
    step = step_signature.trace(servable)
    signatures = {names.STEP_SIGNATURE: step}
    if servable.manifest.decode_steps:
        signatures[names.DECODE_SIGNATURE] = explicit_decode.trace(step, servable.manifest)
    return signatures


_TRACERS = {EXPLICIT: _explicit, RESIDENT: resident.trace}


def _variables(signatures: Signatures) -> list[tf.Variable]:
    """Of all, each once."""
    return list(
        {id(variable): variable for each in signatures.values() for variable in each.variables}.values()
    )


def _manifest(servable: ExportedModel) -> tf.types.experimental.ConcreteFunction:
    text = servable.manifest.to_json()

    def manifest() -> dict[str, tf.Tensor]:
        return {
            names.MANIFEST: tf.constant(text),
            names.TOKENIZER: tf.constant(servable.tokenizer),
        }

    return tf.function(manifest, autograph=False).get_concrete_function()


def _publish(directory: Path, target: Path) -> None:
    directory.chmod(0o755)
    try:
        os.rename(directory, target)
    except OSError as error:
        raise VersionError(f"version {target.name} cannot be published: {error}") from error
