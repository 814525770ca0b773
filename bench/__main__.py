"""`python -m bench`: the command line, and the bound on its time."""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

import grpc

from bench import settings
from bench.benchmark import Options, benchmark
from bench.contenders import Lengths
from bench.processes import ProcessEnded
from bench.rounds import Plan
from bench.settings import SettingsError
from bench.sse import ResponseError

SECONDS = 300
FAILURES = (SettingsError, ProcessEnded, ResponseError, grpc.RpcError, TimeoutError, ValueError, OSError)
_ENDING_S = 25
"""Kept back for ending everything."""


def main() -> int:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGALRM, _leave)
    signal.alarm(arguments.seconds - _ENDING_S // 2)
    try:
        print(benchmark(_options(arguments)), end="")
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _options(arguments: argparse.Namespace) -> Options:
    return Options(
        settings=settings.read(arguments.serve_config, arguments.model, arguments.models),
        lengths=Lengths(arguments.prompt_tokens, arguments.new_tokens),
        plan=Plan(arguments.rounds, tuple(arguments.sessions), arguments.seconds_per_point),
        seconds=arguments.seconds - _ENDING_S,
        out=arguments.out,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the application over HTTP.")
    parser.add_argument("--model", default="tales-gpt", help="(%(default)s)")
    parser.add_argument("--serve-config", type=Path, default=Path("serve_config.yaml"), help="(%(default)s)")
    parser.add_argument(
        "--models", type=Path, default=Path("models"), help="where servables are (%(default)s)"
    )
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 8, 16, 32], help="at a time")
    parser.add_argument("--seconds-per-point", type=float, default=8.0, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for everything (%(default)s)")
    parser.add_argument("--prompt-tokens", type=int, default=64, help="(%(default)s)")
    parser.add_argument("--new-tokens", type=int, default=128, help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("bench/results"), help="(%(default)s)")
    return parser.parse_args()


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(f"ended by {signal.Signals(number).name}")


if __name__ == "__main__":
    sys.exit(main())
