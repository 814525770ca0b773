"""A comparison as a picture, drawn from its JSON alone."""

from pathlib import Path
from typing import Any

from bench.pictures import Pyplot

_STYLES = {"own": "-", "server": "--", "library": ":", "raw": "-.", "naive": "-."}


def draw(plt: Pyplot, result: dict[str, Any], path: Path) -> None:
    """Throughput against sessions, a panel for each workload."""
    workloads = result["workloads"]
    figure, panels = plt.subplots(1, len(workloads), figsize=(7 * len(workloads), 6), squeeze=False)
    for panel, (name, lengths) in zip(panels[0], workloads.items(), strict=True):
        _panel(panel, result, name)
        panel.set_title(f"{name}: {lengths['prompt']} prompt tokens, {lengths['new']} new")
    figure.suptitle(
        f"GPT-2 small's shape, random weights, {result['machine']['cpu']}, {result['finished'][:10]}"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _panel(panel: Any, result: dict[str, Any], workload: str) -> None:
    for engine in result["engines"]:
        rows = [r for r in result["rows"] if (r["engine"], r["workload"]) == (engine["name"], workload)]
        rows = sorted((r for r in rows if r["tokens_per_s"]), key=lambda r: r["sessions"])
        if rows:
            counts, rates = [r["sessions"] for r in rows], [r["tokens_per_s"] for r in rows]
            own = engine["kind"] == "own"
            panel.plot(
                counts,
                rates,
                _STYLES[engine["kind"]],
                marker="o",
                linewidth=2.5 if own else 1.2,
                label=engine["title"],
            )
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    ticks = sorted({r["sessions"] for r in result["rows"]})
    panel.set_xticks(ticks, [str(count) for count in ticks])
    panel.set_xlabel("sessions")
    panel.set_ylabel("tokens/s")
    panel.grid(True, alpha=0.3)
    panel.legend(fontsize=8)
