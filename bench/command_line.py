"""What the commands share: their options, their time limit, and their exit status."""

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from bench.engines.contender import Setup
from bench.errors import FAILURES
from bench.random_model.servables import Cache

ENDING_S = 40
"""Seconds of a command's time that are kept for ending all processes."""


def parser(command: str, description: str, seconds: int) -> argparse.ArgumentParser:
    """Returns a parser with the options of every command that measures."""
    made = argparse.ArgumentParser(prog=f"python -m bench {command}".strip(), description=description)
    made.add_argument("--seconds", type=int, default=seconds, help="time limit of the command (%(default)s)")
    made.add_argument(
        "--out", type=Path, default=Path("bench/results"), help="directory for results (%(default)s)"
    )
    return made


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names the cache's directory."""
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(".bench"),
        help="directory for checkpoints, servables and environments (%(default)s)",
    )


def random_model_parser(command: str, description: str, seconds: int) -> argparse.ArgumentParser:
    """Returns a parser with the options of every command that measures the random model."""
    made = parser(command, description, seconds)
    add_cache(made)
    made.add_argument(
        "--quick", action="store_true", help="measure for a short time, not enough for figures to be quoted"
    )
    made.add_argument(
        "--decoder",
        type=_json_object,
        default="{}",
        metavar="JSON",
        help="additional options of the configuration's decoder section",
    )
    return made


def setup(arguments: argparse.Namespace) -> Setup:
    """Creates the directories that the arguments name."""
    logs: Path = arguments.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return Setup(Cache(arguments.cache), logs, arguments.decoder)


def run(command: Callable[[], None], seconds: int) -> int:
    """Runs `command`, interrupts it before `seconds` are over, and returns its exit status."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGALRM, _leave)
    signal.alarm(max(1, seconds - ENDING_S // 2))
    try:
        command()
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ended by Ctrl-C", file=sys.stderr)
        return 130
    return 0


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(f"ended by {signal.Signals(number).name}")


def _json_object(text: str) -> str:
    if not isinstance(json.loads(text), dict):
        raise argparse.ArgumentTypeError(f"{text} is not a JSON object")
    return text
