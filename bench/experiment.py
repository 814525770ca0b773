"""`python -m bench growth` and its like: one further experiment, or all of them."""

from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module

from bench import command_line
from bench.engines.contender import Setup
from bench.plot import DRAWERS, try_to_draw
from bench.results import describe_machine, write_json

EXPERIMENTS = {
    "first_byte": "time to the first byte of an idle system",
    "growth": "throughput and latency from 1 to 256 sessions",
    "interference": "inter-token latency while long prompts arrive",
    "memory": "memory after more and more requests",
    "pool": "time of a step against the size of the pool",
    "repetition": "one session whose text repeats itself",
    "state": "memory of each session",
}
"""Each is a module of `bench.experiments`, with `measure(setup, quick)` and `render(measured)`."""
ALL = "figures"
_SECONDS = {ALL: 3600}
_OTHER_SECONDS = 1200


def main(name: str, given: Sequence[str]) -> int:
    """Runs one experiment, or all, and returns the exit status."""
    description = f"Measures: {EXPERIMENTS.get(name, 'all of the experiments')}."
    parser = command_line.random_model_parser(name, description, _SECONDS.get(name, _OTHER_SECONDS))
    arguments = parser.parse_args(given)
    setup = command_line.setup(arguments)
    names = list(EXPERIMENTS) if name == ALL else [name]

    def command() -> None:
        for each in names:
            print(_run(each, setup, arguments.quick), end="\n" if name == ALL else "", flush=True)

    return command_line.run(command, arguments.seconds)


def _run(name: str, setup: Setup, quick: bool) -> str:
    """Measures, writes the result, and returns the text."""
    module = import_module(f"bench.experiments.{name}")
    machine, out = describe_machine(), setup.logs.parent
    measured = module.measure(setup, quick)
    write_json(out / f"{name}.json", name, machine, {"quick": quick, **asdict(measured)})
    text: str = module.render(measured)
    (out / f"{name}.txt").write_text(text)
    if name in DRAWERS:
        try_to_draw(out / f"{name}.json")
    return text
