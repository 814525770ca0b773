"""Takes one version through its loading and its unloading. Knows neither other versions nor TensorFlow."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from modelserver.errors import Status, failed_precondition, unknown
from modelserver.lifecycle import Version
from modelserver.process import log
from modelserver.servable import LoadedServable, Loader


@dataclass(frozen=True)
class Retries:
    """How hard to try to load a version."""

    count: int
    seconds: float
    """Between one failure and the next attempt."""


def load(
    version: Version[LoadedServable], loader: Loader, retries: Retries, wanted: Callable[[], bool]
) -> None:
    """Bring `version` to AVAILABLE, or to END with the reason."""
    try:
        _check_directory(version)
        version.loading()
        version.loaded(_try(version, loader, retries, wanted))
        log(f"serving {version} from {version.path}")
    except Status as error:
        version.failed(error)
        log(f"cannot load {version}: {error}")


def unload(version: Version[LoadedServable]) -> None:
    """Bring `version` from UNLOADING to END once its calls have ended."""
    version.release().close()
    version.unloaded()
    log(f"unloaded {version}")


def _check_directory(version: Version[LoadedServable]) -> None:
    if not os.path.isdir(version.path):
        raise failed_precondition(
            f"Error while attempting to reserve resources to load servable {version}: "
            f"{version.path}; Not a directory"
        )


def _try(
    version: Version[LoadedServable], loader: Loader, retries: Retries, wanted: Callable[[], bool]
) -> LoadedServable:
    """Load, again and again while that fails and the version is wanted."""
    for _ in range(retries.count):
        try:
            return _attempt(version.path, loader)
        except Status as error:
            log(f"cannot load {version} yet: {error}")
        threading.Event().wait(retries.seconds)
        if not wanted():
            break
    return _attempt(version.path, loader)


def _attempt(path: str, loader: Loader) -> LoadedServable:
    """Whatever is wrong with a model, its load ends, and as a Status."""
    try:
        return loader(path)
    except Status:
        raise
    except Exception as error:
        raise unknown(f"{type(error).__name__}: {error}") from error
