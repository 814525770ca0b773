"""Growth as a picture, drawn from its JSON alone."""

from pathlib import Path
from typing import Any

from bench.pictures import Pyplot


def draw(plt: Pyplot, result: dict[str, Any], path: Path) -> None:
    """Throughput, and p99 between tokens, against sessions."""
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
    panel.set_xscale("log", base=2)
    panel.set_xticks(counts, [str(count) for count in counts])
    panel.set_xlabel("sessions")
    figure.legend(loc="upper left", bbox_to_anchor=(0.12, 0.88), fontsize=8)
    figure.suptitle(f"{result['model']}: {result['finished'][:10]}")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
