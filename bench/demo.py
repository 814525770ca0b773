"""`python -m bench demo`: a model of the configuration, against the naive loop and the raw step.

A preset of the harness: three contenders that run all the time, and one workload.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench import command_line, target
from bench.comparison import REFERENCE_SESSIONS, Comparison, times
from bench.engines import naive, raw
from bench.engines.contender import Contender, ContenderKind, Setup, already_running
from bench.engines.tensorloom import serving
from bench.errors import TIME_USED_UP, Unavailable
from bench.points import Points, PointSummary, Spot, summary
from bench.random_model.servables import Cache
from bench.results import describe_machine
from bench.rounds import Budget, RoundPlan
from bench.tables import aligned, largest, number, session_table, spread
from bench.target import Target
from bench.usage import MODEL_SERVER
from bench.workload import Workload

SECONDS = 300
OWN, NAIVE, RAW = "Tensorloom", "naive loop", "raw step"
DEMO = "demo"
"""The workload's name."""
EXPECTED_TIMES_NAIVE = 5.0
EXPECTED = times(
    f"tokens/s at {REFERENCE_SESSIONS} / naive loop",
    Spot(OWN, DEMO, REFERENCE_SESSIONS),
    [Spot(NAIVE, DEMO, 1)],
    at_least=EXPECTED_TIMES_NAIVE,
)
_HEADERS = (("tokens", "times", "times"), ("per chunk", "naive", "raw step"))


def main(given: Sequence[str]) -> int:
    """Runs the command and returns its exit status."""
    arguments = _arguments(given)
    return command_line.run(lambda: _measure(arguments), arguments.seconds)


def plan(asked: Workload, rounds: int, sessions: Sequence[int], seconds: float) -> RoundPlan:
    """Returns the plan of contenders that run all the time."""
    return RoundPlan(rounds, {DEMO: asked}, tuple(sessions), seconds, warm_up_s=2.0, restarts=False)


def _measure(arguments: argparse.Namespace) -> None:
    budget = Budget(arguments.seconds - command_line.ENDING_S)
    chosen = target.configured(arguments.serve_config, arguments.model, arguments.models)
    machine = describe_machine()
    arguments.out.mkdir(parents=True, exist_ok=True)
    setup = Setup(Cache(Path(".bench")), arguments.out, start_timeout_s=budget.left)
    lengths = (arguments.prompt_tokens, arguments.new_tokens)
    with _started(setup, chosen, lengths) as (asked, contenders):
        rounds = plan(asked, arguments.rounds, arguments.sessions, arguments.seconds_per_point)
        comparison = Comparison(asked.model, machine, rounds, contenders, [EXPECTED])
        comparison.run(contenders, setup, budget, arguments.out / "latest.json", render)
    failures = [problem for problem in comparison.problems if problem.reason != TIME_USED_UP]
    if failures:
        raise Unavailable(f"{failures[0].engine}: {failures[0].reason}")


@contextmanager
def _started(
    setup: Setup, chosen: Target, lengths: tuple[int, int]
) -> Iterator[tuple[Workload, list[Contender]]]:
    """Starts everything; yields the workload, whose token ids are the model's, and the contenders."""
    with ExitStack() as stack:
        served = stack.enter_context(serving(setup, chosen))
        loop = stack.enter_context(naive.looping(setup, chosen))
        child = stack.enter_context(raw.stepping(setup, chosen))
        total, most = sum(lengths), loop.manifest.context_length
        if total > most:
            raise ValueError(f"prompt and new tokens make {total}; the model's context holds {most}")
        contenders = [
            already_running(OWN, ContenderKind.OWN, served.measure),
            already_running(NAIVE, ContenderKind.NAIVE, naive.measured(loop.generate), most_sessions=1),
            already_running(RAW, ContenderKind.RAW, partial(raw.measure, child)),
        ]
        yield Workload(chosen.model, *lengths, loop.manifest.vocabulary_size), contenders


def render(comparison: Comparison) -> str:
    """Returns one table with both ratios, the two others' figures, CPU time, and the expectation."""
    points, (asked,) = Points(comparison.points), comparison.plan.workloads.values()
    counts, reasons = comparison.plan.sessions, [problem.reason for problem in comparison.problems]
    own, steps = ([summary(points, Spot(name, DEMO, count)) for count in counts] for name in (OWN, RAW))
    loop = summary(points, Spot(NAIVE, DEMO, 1))
    return "\n".join(
        [
            f"{asked.model}: {asked.prompt_tokens} prompt tokens, {asked.new_tokens} new, greedy;",
            f"medians of {points.rounds} rounds with {comparison.plan.seconds:g} s per point",
            *(["The time was used up before all was measured."] if TIME_USED_UP in reasons else []),
            "",
            "Over HTTP, streaming:",
            *session_table(own, _HEADERS, partial(_ratio_cells, points)),
            "",
            f"Naive loop, one session: {number(loop.tokens_per_s)} tokens/s, first token "
            f"{spread(loop.first_token_ms)} ms, inter-token {spread(loop.inter_token_ms)} ms",
            "",
            f"Raw step in process, {asked.mean_past} tokens in the state:",
            *aligned([("batch", "tokens/s", "step ms"), *map(_raw_cells, steps)]),
            "",
            *itertools.chain.from_iterable(map(_cpu, own)),
            *_expectation(comparison),
            "",
        ]
    )


def _ratio_cells(points: Points, row: PointSummary) -> tuple[str, ...]:
    own = Spot(OWN, DEMO, row.sessions)
    ratios = [points.times(own, [base]) for base in (Spot(NAIVE, DEMO, 1), Spot(RAW, DEMO, row.sessions))]
    return (number(row.tokens_per_chunk), *map(number, ratios))


def _raw_cells(row: PointSummary) -> tuple[str, ...]:
    return (str(row.sessions), number(row.tokens_per_s), spread(row.inter_token_ms))


def _cpu(row: PointSummary) -> list[str]:
    if row.sessions != REFERENCE_SESSIONS or not row.cpu_ms_per_token:
        return []
    model_server = row.cpu_ms_per_token.get(MODEL_SERVER, 0.0)
    return [
        f"CPU ms per token at {row.sessions} sessions: model server {number(model_server)}, all else "
        f"{number(row.orchestration_cpu_ms)}; the load generator {number(row.client_cpu_ms_per_token)}",
        f"  {largest(row.cpu_ms_per_token, 6)}",
        "",
    ]


def _expectation(comparison: Comparison) -> list[str]:
    return [
        f"Expected at {REFERENCE_SESSIONS} sessions: at least {EXPECTED_TIMES_NAIVE:g} times the naive loop; "
        f"measured: {number(found.value)} times"
        for found in comparison.findings
        if found.value is not None
    ]


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = command_line.parser("", "Measures the application over HTTP.", SECONDS)
    parser.add_argument("--model", default="tales-gpt", help="(%(default)s)")
    parser.add_argument("--serve-config", type=Path, default=Path("serve_config.yaml"), help="(%(default)s)")
    parser.add_argument(
        "--models", type=Path, default=Path("models"), help="directory of the servables (%(default)s)"
    )
    parser.add_argument(
        "--sessions", type=int, nargs="+", default=[1, 8, 16, 32], help="concurrent sessions (1 8 16 32)"
    )
    parser.add_argument("--seconds-per-point", type=float, default=8.0, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--prompt-tokens", type=int, default=64, help="(%(default)s)")
    parser.add_argument("--new-tokens", type=int, default=128, help="(%(default)s)")
    return parser.parse_args(given)
