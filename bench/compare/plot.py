"""A comparison as a picture, drawn from its JSON alone."""

from pathlib import Path
from typing import Any

from bench.pictures import Pyplot

_STYLES = {"own": "-", "server": "--", "library": ":", "raw": "-.", "naive": "-."}


def draw(plt: Pyplot, result: dict[str, Any], path: Path) -> None:
    """Throughput against sessions, a panel for each workload; an engine looks the same in all."""
    workloads = result["workloads"]
    figure, panels = plt.subplots(
        1, len(workloads), figsize=(6 * len(workloads) + 3, 6), squeeze=False, layout="constrained"
    )
    colours = plt.get_cmap("tab20")
    known: dict[str, Any] = {}
    for panel, (name, lengths) in zip(panels[0], workloads.items(), strict=True):
        for number, engine in enumerate(result["engines"]):
            line = _line(panel, result, name, engine, colours(number))
            known |= {engine["title"]: line} if line else {}
        _axes(panel, sorted({row["sessions"] for row in result["rows"]}))
        panel.set_title(f"{name}: {lengths['prompt']} prompt tokens, {lengths['new']} new")
    day, cpu = result["finished"][:10], result["machine"]["cpu"]
    figure.suptitle(f"GPT-2's smallest shape, random weights; {cpu}, {day}")
    figure.legend(known.values(), known.keys(), loc="outside center right", fontsize=8)
    figure.savefig(path, dpi=120)


def _line(panel: Any, result: dict[str, Any], workload: str, engine: dict[str, Any], colour: Any) -> Any:
    """One engine's, or None where it has no figures."""
    rows = [r for r in result["rows"] if (r["engine"], r["workload"]) == (engine["name"], workload)]
    rows = sorted((r for r in rows if r["tokens_per_s"]), key=lambda r: r["sessions"])
    if not rows:
        return None
    counts, rates = [r["sessions"] for r in rows], [r["tokens_per_s"] for r in rows]
    width = 2.5 if engine["kind"] == "own" else 1.2
    (line,) = panel.plot(counts, rates, _STYLES[engine["kind"]], marker="o", linewidth=width, color=colour)
    return line


def _axes(panel: Any, counts: list[int]) -> None:
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(counts, [str(count) for count in counts])
    panel.set_xlabel("sessions")
    panel.set_ylabel("tokens/s")
    panel.grid(True, alpha=0.3)
