"""What exports took, as text. Pure."""

from collections.abc import Sequence

from bench.exporting.measure import Export
from bench.exporting.phases import PHASES, STARTING
from bench.text import aligned, number

_NAMES = (STARTING, *PHASES.values())


def render(parameters: int, largest_mib: float, exports: Sequence[Export]) -> str:
    """`largest_mib` of the largest tensor, in the checkpoint."""
    head = ("dtype", "state", "weights", "graph", "peak", "peak less weights", "seconds")
    rows = [
        (
            e.dtype,
            e.state,
            *map(number, (e.weights_mib, e.graph_mib, e.peak_mib, e.peak_mib - e.weights_mib, e.seconds)),
        )
        for e in exports
    ]
    by_phase = [(e.dtype, e.state, *_phases(e)) for e in exports]
    return "\n".join(
        [
            f"A random Llama of {parameters:,} parameters, largest tensor {number(largest_mib)} MiB;",
            "memory in MiB above that of a process that has imported TensorFlow:",
            *aligned([head, *rows]),
            "",
            "Seconds and peak of each phase:",
            *aligned([("dtype", "state", *_NAMES), *by_phase]),
            "",
        ]
    )


def _phases(export: Export) -> list[str]:
    known = {phase.name: phase for phase in export.phases}
    return [
        f"{number(known[name].s)} / {number(known[name].peak_mib)}" if name in known else "-"
        for name in _NAMES
    ]
