"""`python -m bench [COMMAND]`: the command line. Without a command: the demo models."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from bench import experiment

DEFAULT = "demo"
COMMANDS = {
    "demo": "the demo models, against the naive loop and TensorFlow's raw step",
    "compare": "GPT-2's smallest shape, side by side with other engines (slow)",
    "export": "time and memory of exporting a large random checkpoint",
    "plot": "a picture of what `compare` or `growth` wrote",
}
"""Each is a module of `bench` with a `main`."""
ALL = COMMANDS | experiment.EXPERIMENTS | {experiment.ALL: "all of the seven above"}


def main(arguments: Sequence[str]) -> int:
    """Runs the command that the arguments name, and returns its exit status."""
    if arguments and arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    given = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if given is not None and given not in ALL:
        print(f"error: there is no command {given!r}\n{_usage()}", file=sys.stderr)
        return 2
    rest = arguments[1:] if given else arguments
    if given is not None and given not in COMMANDS:
        return experiment.main(given, rest)
    run: Callable[[Sequence[str]], int] = import_module(f"bench.{given or DEFAULT}").main
    return run(rest)


def _usage() -> str:
    lines = (f"  {name:<13} {says}" for name, says in ALL.items())
    return "\n".join(["usage: python -m bench [COMMAND] [--help]", *lines])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
