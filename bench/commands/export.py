"""`python -m bench export`: time and memory of exporting a large random checkpoint."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from bench import bounded, machine
from bench.exporting import llama, table
from bench.exporting.measure import measure
from bench.small.cache import Cache

SECONDS = 3600
CONTEXT = 2048


def main(given: Sequence[str]) -> int:
    arguments = _arguments(given)
    return bounded.run(lambda: print(_export(arguments), end=""), arguments.seconds)


def _export(arguments: argparse.Namespace) -> str:
    shape = llama.Shape(arguments.layers)
    cache = Cache(arguments.cache)
    source = cache.made(
        f"checkpoints/llama-{shape.layers}", llama.key(shape), lambda p: llama.write(p, shape)
    )
    facts = machine.describe()
    logs: Path = arguments.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    exports = list(measure(source, cache.root / "exported", logs, arguments.context))
    result = {
        "kind": "export",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(facts),
        "parameters": shape.parameters,
        "context": arguments.context,
        "exports": [asdict(each) for each in exports],
    }
    (arguments.out / "export.json").write_text(json.dumps(result, indent=1) + "\n")
    text = table.render(shape.parameters, shape.largest / 2**20, exports)
    (arguments.out / "export.txt").write_text(text)
    return text


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench export", description="Time and memory of exporting a large random checkpoint."
    )
    parser.add_argument(
        "--layers",
        type=int,
        default=llama.GIGABYTE.layers,
        help="of 50 MB each in bfloat16 (%(default)s: 1 GB)",
    )
    parser.add_argument("--context", type=int, default=CONTEXT, help="(%(default)s)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for everything (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), help="(%(default)s)")
    parser.add_argument(
        "--cache", type=Path, default=Path(".bench"), help="the checkpoint, and servables (%(default)s)"
    )
    return parser.parse_args(given)
