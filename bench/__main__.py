"""`python -m bench [COMMAND]`: the command line. Without a command: the demo models."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

DEFAULT = "demo"
COMMANDS = {
    "demo": "the demo models, against the naive loop and TensorFlow's raw step",
    "compare": "GPT-2's smallest shape, side by side with other engines (slow)",
    "plot": "a picture of what `compare` or `growth` wrote",
    "first_byte": "time to the first byte of an idle system",
    "growth": "throughput and latency from 1 to 256 sessions",
    "interference": "inter-token latency while long prompts arrive",
    "memory": "memory after more and more requests",
    "pool": "time of a step against the size of the pool",
    "repetition": "one session whose text repeats itself",
    "state": "bytes of each session",
}
"""Each is a module of `bench.commands` with a `main`."""


def main(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    given = arguments[0] if arguments and not arguments[0].startswith("-") else None
    if given is not None and given not in COMMANDS:
        print(f"error: there is no command {given!r}\n{_usage()}", file=sys.stderr)
        return 2
    run: Callable[[Sequence[str]], int] = import_module(f"bench.commands.{given or DEFAULT}").main
    return run(arguments[1:] if given else arguments)


def _usage() -> str:
    lines = (f"  {name:<13} {says}" for name, says in COMMANDS.items())
    return "\n".join(["usage: python -m bench [COMMAND] [--help]", *lines])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
