"""`python -m bench growth` and its like: one further figure, or all of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module

from bench import bounded, machine
from bench.commands import options
from bench.commands.plot import DRAWERS, try_to_draw
from bench.engines.engine import Setup

FIGURES = {
    "first_byte": "time to the first byte of an idle system",
    "growth": "throughput and latency from 1 to 256 sessions",
    "interference": "inter-token latency while long prompts arrive",
    "memory": "memory after more and more requests",
    "pool": "time of a step against the size of the pool",
    "repetition": "one session whose text repeats itself",
    "state": "memory of each session",
}
"""Each is a module of `bench.figures`, with `measure(setup, quick)` and `render(measured)`."""
ALL = "figures"
_SECONDS = {ALL: 3600}
_OTHER_SECONDS = 1200


def main(name: str, given: Sequence[str]) -> int:
    parser = options.parser(name, FIGURES.get(name, "All of them."), _SECONDS.get(name, _OTHER_SECONDS))
    arguments = parser.parse_args(given)
    setup = options.setup(arguments)
    names = list(FIGURES) if name == ALL else [name]

    def command() -> None:
        for each in names:
            print(_write(each, setup, arguments.quick), end="\n" if name == ALL else "", flush=True)

    return bounded.run(command, arguments.seconds)


def _write(name: str, setup: Setup, quick: bool) -> str:
    """Measure, write the result down, and hand back the text."""
    module = import_module(f"bench.figures.{name}")
    facts = machine.describe()
    measured = module.measure(setup, quick)
    finished = datetime.now(UTC).isoformat(timespec="seconds")
    result = {
        "kind": name,
        "finished": finished,
        "machine": asdict(facts),
        "quick": quick,
        **asdict(measured),
    }
    out = setup.logs.parent
    (out / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    text: str = module.render(measured)
    (out / f"{name}.txt").write_text(text)
    if name in DRAWERS:
        try_to_draw(out / f"{name}.json")
    return text
