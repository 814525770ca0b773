"""Loading and unloading of one version."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass

from modelserver.errors import StatusError, failed_precondition, unknown
from modelserver.lifecycle import Version
from modelserver.process import log
from modelserver.servable import LoadedServable, ServableLoader


@dataclass(frozen=True)
class Retries:
    """Further attempts to load a version after a failure."""

    count: int
    """The most further attempts."""
    seconds: float
    """The time between a failure and the next attempt."""


def load(
    version: Version[LoadedServable], loader: ServableLoader, retries: Retries, is_wanted: Callable[[], bool]
) -> None:
    """Loads `version`: afterwards it is AVAILABLE, or END with the reason in `error`.

    Retries up to `retries.count` times; if `is_wanted` returns False after a failure, only once more.
    """
    try:
        _check_directory(version)
        version.loading()
        version.loaded(_try(version, loader, retries, is_wanted))
        log(f"serving {version} from {version.path}")
    except StatusError as error:
        version.failed(error)
        log(f"cannot load {version}: {error}")


def unload(version: Version[LoadedServable]) -> None:
    """Waits for the calls of `version`, which is UNLOADING, and unloads it: afterwards it is END."""
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
    version: Version[LoadedServable], loader: ServableLoader, retries: Retries, is_wanted: Callable[[], bool]
) -> LoadedServable:
    """Loads the servable, with further attempts after failures."""
    for _ in range(retries.count):
        try:
            return _attempt(version.path, loader)
        except StatusError as error:
            log(f"cannot load {version} yet: {error}")
        threading.Event().wait(retries.seconds)
        if not is_wanted():
            break
    return _attempt(version.path, loader)


def _attempt(path: str, loader: ServableLoader) -> LoadedServable:
    """Loads the servable; any exception becomes a StatusError, so that a broken model only fails itself."""
    try:
        return loader(path)
    except StatusError:
        raise
    except Exception as error:
        raise unknown(f"{type(error).__name__}: {error}") from error
