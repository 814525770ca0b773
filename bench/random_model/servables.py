"""Random checkpoints, their servables as `python -m export` writes them, and the cache of both."""

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.processes import finished
from bench.random_model import chained, checkpoint, llama
from bench.random_model.chained import ChainShape
from bench.random_model.checkpoint import WeightScales
from bench.random_model.llama import LlamaShape

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


def _small_key(*further: str) -> str:
    directory = Path(__file__).parent
    return _digest(directory / name for name in ("checkpoint.py", "vocabulary.py", *further))


def _exporter_key() -> str:
    """Returns a key that changes with every file for which `make` exports again."""
    files = (path for package in ("contract", "export") for path in (ROOT / package).rglob("*.py"))
    return _digest(path for path in files if ROOT / "export/demo" not in path.parents)


def _digest(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class RandomCheckpoint:
    """A checkpoint with random weights."""

    name: str
    key: Callable[[], str]
    """Returns a key that changes with what `write` writes."""
    write: Callable[[Path], None]

    def written(self, cache: Cache) -> Path:
        """Writes the checkpoint where it is missing or older than this code, and returns its directory."""
        return cache.made(f"checkpoints/{self.name}", self.key(), self.write)


def llama_checkpoint(shape: LlamaShape) -> RandomCheckpoint:
    """Returns the Llama checkpoint of this shape."""
    return RandomCheckpoint(
        f"llama-{shape.layers}", partial(llama.key, shape), partial(llama.write, shape=shape)
    )


def _small(name: str, scales: WeightScales) -> RandomCheckpoint:
    return RandomCheckpoint(name, _small_key, partial(checkpoint.write, scales=scales))


def _chained(name: str, shape: ChainShape) -> RandomCheckpoint:
    return RandomCheckpoint(name, partial(_small_key, "chained.py"), partial(chained.write, shape=shape))


VARIED = _small("varied", checkpoint.VARIED)
LLAMA = llama_checkpoint(llama.GIGABYTE)


@dataclass(frozen=True)
class Variant:
    """One servable of a random model."""

    name: str
    dtype: str
    state: str
    source: RandomCheckpoint = VARIED
    options: tuple[str, ...] = ()
    """Further options of `python -m export hf`."""


BF16 = Variant("small-bf16", "bfloat16", "resident")
F32 = Variant("small-f32", "float32", "resident")
INT8 = Variant("small-int8", "bfloat16", "resident", options=("--weights", "int8"))
EXPLICIT_BF16 = Variant("small-explicit-bf16", "bfloat16", "explicit")
EXPLICIT_F32 = Variant("small-explicit-f32", "float32", "explicit")
LOOPING = Variant("small-looping", "bfloat16", "resident", _small("looping", checkpoint.LOOPING))
CHAINED = Variant("chained-bf16", "bfloat16", "resident", _chained("chained", chained.LARGE))
CHAINED_DRAFT = Variant(
    "chained-draft-bf16", "bfloat16", "resident", _chained("chained-draft", chained.SMALL)
)
LLAMA_BF16 = Variant("llama-bf16", "bfloat16", "resident", LLAMA, ("--context", str(checkpoint.CONTEXT)))
"""Its context is as long as the smaller model's: longer ones only take more memory."""


def base_path(cache: Cache, variant: Variant) -> Path:
    """Exports the servable where it is missing or outdated, and returns the directory of its versions."""
    source = variant.source.written(cache)

    def export(path: Path) -> None:
        print(f"exporting {variant.name}, which takes minutes", file=sys.stderr)
        arguments = ["hf", source, "--out", path.parent, "--name", variant.name, "--version", "1"]
        arguments += ["--dtype", variant.dtype, "--state", variant.state, *variant.options]
        command = [sys.executable, "-m", "export", *map(str, arguments)]
        finished(command, path.with_suffix(".log"))

    key = " ".join([variant.source.key(), _exporter_key(), *variant.options])
    return cache.made(f"models/{variant.name}", key, export)
