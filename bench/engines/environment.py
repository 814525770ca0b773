"""A Python environment of an engine's own, installed from the package registry where it is missing."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from bench.processes import ProcessEnded, finished
from bench.small.cache import Cache
from bench.small.servables import ROOT


@dataclass(frozen=True)
class Environment:
    """What is installed, and what of its dependencies is taken off again."""

    name: str
    requirements: tuple[str, ...]
    unwanted: tuple[str, ...] = ()
    """Dependencies that do not match the installed torch, and are not needed for text."""

    def install(self, cache: Cache) -> Path:
        """Its directory."""
        key = " ".join([*self.requirements, "-", *self.unwanted])
        return cache.made(f"environments/{self.name}", key, self._make)

    def python(self, cache: Cache) -> Path:
        return self.install(cache) / "bin/python"

    def _make(self, path: Path) -> None:
        print(f"installing {self.name}", file=sys.stderr)
        log = path.with_suffix(".log")
        finished([sys.executable, "-m", "venv", str(path)], log)
        pip = [str(path / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
        try:
            finished([*pip, "install", *self.requirements], log)
            if self.unwanted:
                finished([*pip, "uninstall", "--yes", *self.unwanted], log)
        except ProcessEnded as error:
            raise ProcessEnded(f"{self.name} cannot be installed: {error}") from None


def child_environment(**variables: str) -> dict[str, str]:
    """For a process of another environment: it may import this source tree, and asks no registry."""
    quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
    return {**os.environ, **quiet, "PYTHONPATH": str(ROOT), **variables}
