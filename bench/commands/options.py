"""What the commands that measure the random model have in common."""

import argparse
import json
from pathlib import Path

from bench.engines.engine import Setup
from bench.small.cache import Cache


def parser(command: str, description: str, seconds: int) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"python -m bench {command}", description=description)
    made.add_argument("--quick", action="store_true", help="a short look, too short to be quoted")
    made.add_argument("--seconds", type=int, default=seconds, help="for everything (%(default)s)")
    made.add_argument("--out", type=Path, default=Path("bench/results"), help="(%(default)s)")
    made.add_argument(
        "--cache",
        type=Path,
        default=Path(".bench"),
        help="checkpoints, servables, environments (%(default)s)",
    )
    made.add_argument(
        "--decoder",
        type=_options,
        default="{}",
        metavar="JSON",
        help="further options of the decoder's section",
    )
    return made


def setup(arguments: argparse.Namespace) -> Setup:
    """Directories that exist."""
    logs: Path = arguments.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    return Setup(Cache(arguments.cache), logs, arguments.decoder)


def _options(text: str) -> str:
    if not isinstance(json.loads(text), dict):
        raise argparse.ArgumentTypeError("a JSON object is wanted")
    return text
