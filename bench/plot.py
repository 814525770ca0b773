"""`python -m bench plot FILE`: a picture of a result, drawn from its JSON only."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

Pyplot: TypeAlias = Any
_STYLES = {"own": "-", "server": "--", "library": ":", "raw": "-.", "naive": "-."}


class NoPictures(ValueError):
    """matplotlib is not installed."""


def main(given: Sequence[str]) -> int:
    """Runs the command and returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench plot", description="Draws a result.")
    parser.add_argument("file", type=Path, help="the JSON that `compare` or `growth` wrote")
    try:
        print(draw(parser.parse_args(given).file))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def draw(file: Path) -> Path:
    """Draws the result in `file`, and returns the path of the picture beside it."""
    result = json.loads(file.read_text())
    drawer = DRAWERS.get(result.get("kind"))
    if drawer is None:
        raise ValueError(f"{file} is of kind {result.get('kind')!r}; only {', '.join(DRAWERS)} can be drawn")
    path = file.with_suffix(".png")
    drawer(pyplot(), result, path)
    return path


def try_to_draw(file: Path) -> None:
    """Draws the result, or says on stderr that matplotlib is missing."""
    try:
        print(f"drawn: {draw(file)}", file=sys.stderr)
    except NoPictures as error:
        print(f"not drawn: {error}", file=sys.stderr)


def pyplot() -> Pyplot:
    """Returns matplotlib.pyplot, which needs no screen; raises NoPictures where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise NoPictures("pictures need matplotlib: pip install -c constraints.txt -e '.[bench]'") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def draw_comparison(plt: Pyplot, result: dict[str, Any], path: Path) -> None:
    """Draws throughput against sessions, a panel for each workload; an engine looks the same in all."""
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
        panel.set_yscale("log")
        panel.set_ylabel("tokens/s")
        panel.grid(True, alpha=0.3)
        _label_sessions(panel, sorted({row["sessions"] for row in result["rows"]}))
        panel.set_title(f"{name}: {lengths['prompt']} prompt tokens, {lengths['new']} new")
    day, cpu = result["finished"][:10], result["machine"]["cpu"]
    figure.suptitle(f"{result['title']}; {cpu}, {day}")
    figure.legend(known.values(), known.keys(), loc="outside center right", fontsize=8)
    figure.savefig(path, dpi=120)


def _line(panel: Any, result: dict[str, Any], workload: str, engine: dict[str, Any], colour: Any) -> Any:
    """Draws one engine's line, and returns it; None where the engine has no figures."""
    rows = [r for r in result["rows"] if (r["engine"], r["workload"]) == (engine["name"], workload)]
    rows = sorted((r for r in rows if r["tokens_per_s"]), key=lambda r: r["sessions"])
    if not rows:
        return None
    counts, rates = [r["sessions"] for r in rows], [r["tokens_per_s"] for r in rows]
    width = 2.5 if engine["kind"] == "own" else 1.2
    (line,) = panel.plot(counts, rates, _STYLES[engine["kind"]], marker="o", linewidth=width, color=colour)
    return line


def draw_growth(plt: Pyplot, result: dict[str, Any], path: Path) -> None:
    """Draws throughput, and the inter-token latencies, against sessions."""
    rows = result["rows"]
    counts = [row["sessions"] for row in rows]
    figure, panel = plt.subplots(figsize=(7, 5))
    panel.plot(counts, [row["tokens_per_s"] for row in rows], marker="o", label="tokens/s")
    panel.set_ylabel("tokens/s")
    panel.set_ylim(bottom=0)
    other = panel.twinx()
    for name, style in (("p50", ":"), ("p99", "--")):
        values = [row["inter_token_ms"][name] for row in rows]
        other.plot(counts, values, style, color="tab:red", marker="s", label=f"inter-token {name}, ms")
    other.set_ylabel("ms")
    other.set_ylim(bottom=0)
    _label_sessions(panel, counts)
    figure.legend(loc="upper left", bbox_to_anchor=(0.12, 0.88), fontsize=8)
    figure.suptitle(f"{result['model']}: {result['finished'][:10]}")
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _label_sessions(panel: Any, counts: Sequence[int]) -> None:
    panel.set_xscale("log", base=2)
    panel.set_xticks(counts, [str(count) for count in counts])
    panel.set_xlabel("sessions")


DRAWERS = {"compare": draw_comparison, "growth": draw_growth}
"""By the kind of a result."""
