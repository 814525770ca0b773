"""`python -m bench [COMMAND]`: the command line. Without a command: the demo models."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import import_module

from bench import command_line
from bench.engines.contender import Setup
from bench.plot import DRAWERS, try_to_draw
from bench.results import describe_machine, write_json

DEFAULT = "demo"
COMMANDS = {
    "demo": "the demo models, against the naive loop and TensorFlow's raw step",
    "compare": "GPT-2's smallest shape, side by side with other engines (slow)",
    "export": "time and memory of exporting a large random checkpoint",
    "plot": "a picture of what `compare` or `growth` wrote",
}
"""Each is a module of `bench` with a `main`."""
EXPERIMENTS = {
    "drafts": "a model with and without a draft model",
    "first_byte": "time to the first byte of an idle system",
    "growth": "throughput and latency from 1 to 256 sessions",
    "interference": "inter-token latency while long prompts arrive",
    "memory": "memory after more and more requests",
    "pool": "time of a step against the size of the pool",
    "repetition": "one session whose text repeats itself",
    "state": "memory of each session",
}
"""Each is a module of `bench.experiments`, with `measure(setup, quick)` and `render(measured)`."""
ALL_EXPERIMENTS = {"figures": "all of the eight above"}
USAGES = COMMANDS | EXPERIMENTS | ALL_EXPERIMENTS
_ALL_SECONDS = 3600
_EXPERIMENT_SECONDS = 1200


def main(arguments: Sequence[str]) -> int:
    """Runs the command that the arguments name, and returns its exit status."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    given = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if given is not None and given not in USAGES:
        print(f"error: there is no command {given!r}\n{_usage()}", file=sys.stderr)
        return 2
    rest = arguments[1:] if given else arguments
    if given in EXPERIMENTS:
        return _experiment(given, [given], _EXPERIMENT_SECONDS, rest)
    if given in ALL_EXPERIMENTS:
        return _experiment(given, list(EXPERIMENTS), _ALL_SECONDS, rest)
    run: Callable[[Sequence[str]], int] = import_module(f"bench.{given or DEFAULT}").main
    return run(rest)


def _usage() -> str:
    lines = (f"  {name:<13} {says}" for name, says in USAGES.items())
    return "\n".join(["usage: python -m bench [COMMAND] [--help]", *lines])


def _experiment(command: str, names: Sequence[str], seconds: int, given: Sequence[str]) -> int:
    """Runs the named experiments one after the other, and returns the exit status."""
    description = f"Measures {USAGES[command].removesuffix(' above')}."
    arguments = command_line.random_model_parser(command, description, seconds).parse_args(given)
    setup = command_line.setup(arguments)

    def run() -> None:
        for name in names:
            print(_measure(name, setup, arguments.quick), end="\n" if len(names) > 1 else "", flush=True)

    return command_line.run(run, arguments.seconds)


def _measure(name: str, setup: Setup, quick: bool) -> str:
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
