"""`python -m bench compare`: random models, engines side by side."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from bench import command_line
from bench.comparison import Comparison
from bench.engines.catalogue import ENGINES, QUICK
from bench.engines.contender import MODEL_TITLES, Contender, workload
from bench.expected import COMPARED, EXPECTED, QUEUED
from bench.plot import try_to_draw
from bench.points import Spot
from bench.report import render
from bench.results import describe_machine
from bench.rounds import Budget, FurtherSpot, RoundPlan, prepared
from bench.workload import IDLE, WORKLOADS, Lengths

SECONDS = 4 * 3600
QUICK_SECONDS = 600
TITLE = "Engines side by side, random weights"
ALL_WORKLOADS = {name: workload(lengths) for name, lengths in WORKLOADS.items()}
_W1 = ALL_WORKLOADS["W1"]
_IDLE = workload(Lengths(8, 8))
_FURTHER = (
    FurtherSpot(Spot("tensorloom-bf16", IDLE, 1), _IDLE),
    FurtherSpot(Spot("tensorloom-bf16", "W1", QUEUED), _W1),
    FurtherSpot(Spot("raw-bf16", IDLE, 1), _IDLE),
)
_LLAMA_SESSIONS = {"tensorloom-llama": (1, 8), "vllm-llama": (1, 8)}
FULL = RoundPlan(
    rounds=3,
    workloads=ALL_WORKLOADS,
    sessions=(1, 8, 16, 32),
    seconds=12.0,
    warm_up_s=3.0,
    sessions_of=_LLAMA_SESSIONS,
    further=_FURTHER,
)
QUICK_PLAN = replace(
    FULL,
    rounds=1,
    workloads={"W1": _W1},
    sessions=(1, 16, 32),
    seconds=7.0,
    warm_up_s=0.0,
    sessions_of=_LLAMA_SESSIONS | {"llama-q8_0": (1,), "tensorloom-int8": (1, 16), "raw-int8": (16,)},
)


def main(given: Sequence[str]) -> int:
    """Runs the command and returns its exit status."""
    arguments = _arguments(given)
    return command_line.run(lambda: _compare(arguments), arguments.seconds)


def _compare(arguments: argparse.Namespace) -> None:
    budget = Budget(arguments.seconds - command_line.ENDING_S)
    chosen = chosen_engines(arguments)
    plan = chosen_plan(arguments)
    comparison = Comparison(TITLE, describe_machine(), plan, chosen, EXPECTED, compared=COMPARED)
    setup, written = command_line.setup(arguments), arguments.out / "compare.json"
    ready = prepared(chosen, setup, comparison.add)
    if arguments.prepare:
        print(f"ready: {', '.join(contender.name for contender in ready)}")
        return
    try:
        comparison.run(ready, setup, budget, written, render)
    finally:
        if comparison.points:
            try_to_draw(written)


def chosen_engines(arguments: argparse.Namespace) -> list[Contender]:
    """Returns the named engines, or the preset's, as far as they run one of the chosen models."""
    names = arguments.engines or (QUICK if arguments.quick else ENGINES)
    return [ENGINES[name] for name in names if ENGINES[name].model in arguments.models]


def chosen_plan(arguments: argparse.Namespace) -> RoundPlan:
    """Returns the preset with what the arguments change.

    Where they choose sessions or workloads, nothing else is measured.
    """
    given = {
        "rounds": arguments.rounds,
        "sessions": arguments.sessions and tuple(arguments.sessions),
        "workloads": arguments.workloads and {name: ALL_WORKLOADS[name] for name in arguments.workloads},
        "seconds": arguments.seconds_per_point,
    }
    base = QUICK_PLAN if arguments.quick else FULL
    if arguments.sessions:
        base = replace(base, sessions_of={})
    if arguments.sessions or arguments.workloads:
        base = replace(base, further=())
    return replace(base, **{name: value for name, value in given.items() if value})


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    seconds = QUICK_SECONDS if "--quick" in given and "--prepare" not in given else SECONDS
    parser = command_line.random_model_parser("compare", "Measures engines side by side.", seconds)
    names, models = list(ENGINES), list(MODEL_TITLES)
    parser.add_argument("--engines", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--models", nargs="+", choices=models, default=models, help="(both)")
    parser.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), help="(W1 W2)")
    parser.add_argument("--sessions", type=int, nargs="+", help="concurrent sessions (1 8 16 32)")
    parser.add_argument("--rounds", type=int, help=f"({FULL.rounds})")
    parser.add_argument("--seconds-per-point", type=float, help=f"({FULL.seconds:g})")
    parser.add_argument("--prepare", action="store_true", help="only install and convert what is missing")
    return parser.parse_args(given)
