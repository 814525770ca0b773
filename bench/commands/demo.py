"""`python -m bench`: a model that is configured to be served, against the naive loop and the raw step."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from bench import bounded, settings
from bench.benchmark import Options, benchmark
from bench.rounds import Plan
from bench.workload import Lengths

SECONDS = 300


def main(given: Sequence[str]) -> int:
    arguments = _arguments(given)
    return bounded.run(lambda: print(benchmark(_options(arguments)), end=""), arguments.seconds)


def _options(arguments: argparse.Namespace) -> Options:
    return Options(
        settings=settings.read(arguments.serve_config, arguments.model, arguments.models),
        lengths=Lengths(arguments.prompt_tokens, arguments.new_tokens),
        plan=Plan(arguments.rounds, tuple(arguments.sessions), arguments.seconds_per_point),
        seconds=arguments.seconds - bounded.ENDING_S,
        out=arguments.out,
    )


def _arguments(given: Sequence[str]) -> argparse.Namespace:
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
    return parser.parse_args(given)
