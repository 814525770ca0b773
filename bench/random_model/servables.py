"""The random model's checkpoints as servables, written by `python -m export`, and their cache."""

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.processes import finished
from bench.random_model import checkpoint
from bench.random_model.checkpoint import WeightScales

ROOT = Path(__file__).parents[2]
"""The source tree."""


class Cache:
    """A directory of things that take long to make and are never committed, each with its key."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def made(self, name: str, key: str, make: Callable[[Path], None]) -> Path:
        """Returns the path of `name`, which is made again unless it was completed under the same `key`."""
        path, mark = self.root / name, self.root / f"{name}.key"
        if not (mark.exists() and mark.read_text() == key):
            mark.unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
            mark.write_text(key)
        return path


@dataclass(frozen=True)
class Variant:
    """One servable of the random model."""

    name: str
    dtype: str
    state: str
    scales: WeightScales = checkpoint.VARIED


BF16 = Variant("small-bf16", "bfloat16", "resident")
F32 = Variant("small-f32", "float32", "resident")
EXPLICIT_BF16 = Variant("small-explicit-bf16", "bfloat16", "explicit")
EXPLICIT_F32 = Variant("small-explicit-f32", "float32", "explicit")
LOOPING = Variant("small-looping", "bfloat16", "resident", checkpoint.LOOPING)


def written_checkpoint(cache: Cache, scales: WeightScales) -> Path:
    """Writes the checkpoint where it is missing or older than this code, and returns its directory."""
    name = "looping" if scales == checkpoint.LOOPING else "varied"
    return cache.made(f"checkpoints/{name}", _checkpoint_key(), lambda path: checkpoint.write(path, scales))


def base_path(cache: Cache, variant: Variant) -> Path:
    """Exports the servable where it is missing or outdated, and returns the directory of its versions."""
    source = written_checkpoint(cache, variant.scales)

    def export(path: Path) -> None:
        print(f"exporting {variant.name}, which takes minutes", file=sys.stderr)
        arguments = ["hf", source, "--out", path.parent, "--name", variant.name, "--version", "1"]
        arguments += ["--dtype", variant.dtype, "--state", variant.state]
        command = [sys.executable, "-m", "export", *map(str, arguments)]
        finished(command, path.with_suffix(".log"))

    return cache.made(f"models/{variant.name}", f"{_checkpoint_key()} {_exporter_key()}", export)


def _checkpoint_key() -> str:
    directory = Path(__file__).parent
    return _digest(directory / name for name in ("checkpoint.py", "vocabulary.py"))


def _exporter_key() -> str:
    """Returns a key that changes with every file for which `make` exports again."""
    files = (path for package in ("contract", "export") for path in (ROOT / package).rglob("*.py"))
    return _digest(path for path in files if ROOT / "export/demo" not in path.parents)


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
