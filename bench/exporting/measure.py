"""Exports of one checkpoint, each by `python -m export` in a process of its own, which is watched."""

import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import psutil

from bench.exporting.phases import Look, Phase, of_log, phases
from bench.processes import Child, ProcessEnded, running

EVERY_S = 0.02
STATES = ("resident", "explicit")
DTYPES = ("bfloat16", "float32")
PUBLISHED = "published "
_MIB = 2**20


@dataclass(frozen=True)
class Export:
    """One."""

    dtype: str
    state: str
    weights_mib: float
    """On disk, as they are served."""
    graph_mib: float
    phases: tuple[Phase, ...]

    @property
    def peak_mib(self) -> float:
        return max(phase.peak_mib for phase in self.phases)

    @property
    def seconds(self) -> float:
        return sum(phase.s for phase in self.phases)


def measure(source: Path, out: Path, logs: Path, context: int) -> Iterator[Export]:
    """Every dtype in every layout; what was written is removed again."""
    for dtype, state in product(DTYPES, STATES):
        try:
            yield _export(source, out, logs / f"export-{dtype}-{state}.log", dtype, state, context)
        finally:
            shutil.rmtree(out, ignore_errors=True)


def _export(source: Path, out: Path, log: Path, dtype: str, state: str, context: int) -> Export:
    options = ["--out", out, "--name", "model", "--dtype", dtype, "--state", state, "--context", context]
    command = [sys.executable, "-m", "export", "hf", source, *options]
    with running(list(map(str, command)), log) as child:
        looks = list(_looks(child, log))
    if not any(line.startswith(PUBLISHED) for line in log.read_text().splitlines()):
        raise ProcessEnded(f"{log.stem} published nothing:\n{log.read_text()}")
    version = out / "model" / "1"
    weights = sum(path.stat().st_size for path in (version / "variables").iterdir())
    graph = (version / "saved_model.pb").stat().st_size
    return Export(dtype, state, weights / _MIB, graph / _MIB, phases(looks))


def _looks(child: Child, log: Path) -> Iterator[Look]:
    process, begun = psutil.Process(child.process.pid), time.monotonic()
    while child.process.poll() is None:
        resident = process.memory_info().rss / _MIB
        # An ending process has no memory any more.
        if resident:
            yield Look(time.monotonic() - begun, of_log(log.read_text()), resident)
        time.sleep(EVERY_S)
