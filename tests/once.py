"""Directories that take long to make, made once for all worker processes of a test run."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Returns the directory `name` of this run. The first to ask has `make` create it; others wait for it.

    Tests must not change what it holds. Where `make` raises, the next to ask tries again.
    """
    base = factory.getbasetemp()
    # Each worker has a base of its own, beside those of the others.
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once"
    shared.mkdir(exist_ok=True)
    directory, whole = shared / name, shared / f"{name}.whole"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(directory, ignore_errors=True)
            make(directory)
            whole.touch()
    return directory
