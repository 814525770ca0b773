"""The checkpoints as servables, written by `python -m export`. Knows its command line alone."""

import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.processes import finished
from bench.small import checkpoint
from bench.small.cache import Cache

ROOT = Path(__file__).parents[2]
"""Of the source tree."""


@dataclass(frozen=True)
class Variant:
    """One servable."""

    name: str
    dtype: str
    state: str
    kind: checkpoint.Kind = checkpoint.VARIED


BF16 = Variant("small-bf16", "bfloat16", "resident")
F32 = Variant("small-f32", "float32", "resident")
EXPLICIT_BF16 = Variant("small-explicit-bf16", "bfloat16", "explicit")
EXPLICIT_F32 = Variant("small-explicit-f32", "float32", "explicit")
LOOPING = Variant("small-looping", "bfloat16", "resident", checkpoint.LOOPING)
VARIANTS = {variant.name: variant for variant in (BF16, F32, EXPLICIT_BF16, EXPLICIT_F32, LOOPING)}


def written_checkpoint(cache: Cache, kind: checkpoint.Kind) -> Path:
    name = "looping" if kind == checkpoint.LOOPING else "varied"
    return cache.made(f"checkpoints/{name}", _checkpoint_key(), lambda path: checkpoint.write(path, kind))


def base_path(cache: Cache, variant: Variant) -> Path:
    """The directory of the servable's versions; exported where it is missing, or older than the exporter."""
    source = written_checkpoint(cache, variant.kind)

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
    """Changes with whatever `make` would export anew for."""
    return _digest(
        path
        for pattern in ("contract/*.py", "export/*.py", "export/families/*.py", "export/reference/*.py")
        for path in ROOT.glob(pattern)
    )


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
