"""`python -m bench export`: time and memory of exporting a large random checkpoint, phase by phase.

Each export is `python -m export` in a process of its own, whose memory is sampled.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby, product
from pathlib import Path

import psutil

from bench import command_line
from bench.errors import ProcessEnded
from bench.processes import Child, running
from bench.random_model import llama
from bench.random_model.servables import Cache, llama_checkpoint
from bench.results import describe_machine, write_json
from bench.tables import aligned, number

SECONDS = 3600
CONTEXT = 2048
EVERY_S = 0.02
STATES = ("resident", "explicit")
DTYPES = ("bfloat16", "float32")
PUBLISHED = "published "
STARTING = "starting"
PHASES = ("reading", "tracing", "writing", "verifying")
"""Also the words that begin the exporter's lines which announce them."""
_MIB = 2**20


@dataclass(frozen=True)
class ProcessSample:
    """The exporting process at one moment."""

    s: float
    phase: str
    mib: float
    """Resident memory."""


@dataclass(frozen=True)
class Phase:
    """One phase of an export."""

    name: str
    s: float
    peak_mib: float
    """Above that of a process that has only imported TensorFlow."""


@dataclass(frozen=True)
class Export:
    """One export."""

    dtype: str
    state: str
    weights_mib: float
    """On disk, as they are served."""
    graph_mib: float
    phases: tuple[Phase, ...]

    @property
    def peak_mib(self) -> float:
        """The highest peak of all phases."""
        return max(phase.peak_mib for phase in self.phases)

    @property
    def seconds(self) -> float:
        """Of all phases."""
        return sum(phase.s for phase in self.phases)


def main(given: Sequence[str]) -> int:
    """Runs the command and returns its exit status."""
    arguments = _arguments(given)
    return command_line.run(lambda: print(_export(arguments), end=""), arguments.seconds)


def phase_of(log: str) -> str:
    """Returns the phase that the exporter's lines so far have reached."""
    begun = [word for line in log.splitlines() if (word := line.split(" ")[0]) in PHASES]
    return begun[-1] if begun else STARTING


def phases(samples: Sequence[ProcessSample]) -> tuple[Phase, ...]:
    """Reduces samples to the phases, in their order."""
    base = max((sample.mib for sample in samples if sample.phase == STARTING), default=0.0)
    found = []
    for name, group in groupby(samples, lambda sample: sample.phase):
        mine = list(group)
        after = [sample.s for sample in samples if sample.s > mine[-1].s]
        end = after[0] if after else mine[-1].s
        found.append(Phase(name, end - mine[0].s, max(sample.mib for sample in mine) - base))
    return tuple(found)


def render(parameters: int, largest_mib: float, exports: Sequence[Export]) -> str:
    """Returns both tables; `largest_mib` is the size of the checkpoint's largest tensor."""
    head = ("dtype", "state", "weights", "graph", "peak", "peak less weights", "seconds")
    rows = []
    for each in exports:
        sizes = (each.weights_mib, each.graph_mib, each.peak_mib, each.peak_mib - each.weights_mib)
        rows.append((each.dtype, each.state, *map(number, (*sizes, each.seconds))))
    by_phase = [(each.dtype, each.state, *_phase_cells(each)) for each in exports]
    return "\n".join(
        [
            f"A random Llama of {parameters:,} parameters, largest tensor {number(largest_mib)} MiB;",
            "memory in MiB above that of a process that has imported TensorFlow:",
            *aligned([head, *rows]),
            "",
            "Seconds and peak of each phase:",
            *aligned([("dtype", "state", STARTING, *PHASES), *by_phase]),
            "",
        ]
    )


def _phase_cells(export: Export) -> list[str]:
    known = {phase.name: f"{number(phase.s)} / {number(phase.peak_mib)}" for phase in export.phases}
    return [known.get(name, "-") for name in (STARTING, *PHASES)]


def _export(arguments: argparse.Namespace) -> str:
    """Exports the checkpoint in every dtype and layout; what is exported is removed again."""
    shape, cache = llama.LlamaShape(arguments.layers), Cache(arguments.cache)
    source = llama_checkpoint(shape).written(cache)
    machine, out, exports = describe_machine(), cache.root / "exported", []
    logs: Path = arguments.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    for dtype, state in product(DTYPES, STATES):
        try:
            log = logs / f"export-{dtype}-{state}.log"
            exports.append(_export_one(source, out, log, dtype, state, arguments.context))
        finally:
            shutil.rmtree(out, ignore_errors=True)
    content = {
        "parameters": shape.parameters,
        "context": arguments.context,
        "exports": [asdict(each) for each in exports],
    }
    write_json(arguments.out / "export.json", "export", machine, content)
    text = render(shape.parameters, shape.largest / _MIB, exports)
    (arguments.out / "export.txt").write_text(text)
    return text


def _export_one(source: Path, out: Path, log: Path, dtype: str, state: str, context: int) -> Export:
    options = ["--out", out, "--name", "model", "--dtype", dtype, "--state", state, "--context", context]
    command = [sys.executable, "-m", "export", "hf", source, *options]
    with running(list(map(str, command)), log) as child:
        samples = list(_samples(child, log))
    if not any(line.startswith(PUBLISHED) for line in log.read_text().splitlines()):
        raise ProcessEnded(f"{log.stem} published nothing:\n{log.read_text()}")
    version = out / "model" / "1"
    weights = sum(path.stat().st_size for path in (version / "variables").iterdir())
    graph = (version / "saved_model.pb").stat().st_size
    return Export(dtype, state, weights / _MIB, graph / _MIB, phases(samples))


def _samples(child: Child, log: Path) -> Iterator[ProcessSample]:
    process, begun = psutil.Process(child.process.pid), time.monotonic()
    while child.process.poll() is None:
        resident = process.memory_info().rss / _MIB
        # A process that is ending has no memory any more.
        if resident:
            yield ProcessSample(time.monotonic() - begun, phase_of(log.read_text()), resident)
        time.sleep(EVERY_S)


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    description = "Measures time and memory of exporting a large random checkpoint."
    parser = command_line.parser("export", description, SECONDS)
    command_line.add_cache(parser)
    layers = llama.GIGABYTE.layers
    parser.add_argument(
        "--layers", type=int, default=layers, help="of 50 MB each in bfloat16 (%(default)s: 1 GB)"
    )
    parser.add_argument("--context", type=int, default=CONTEXT, help="tokens (%(default)s)")
    return parser.parse_args(given)
