"""One run: starts what is compared, measures in rounds, writes the results.

Knows how the parts are put together; each of them measures one way of running the model.
"""

import itertools
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import grpc

from bench import application, cpu, machine, naive, raw
from bench.load import LoadGenerator
from bench.naive import NaiveLoop
from bench.processes import Child, running
from bench.rounds import Budget, HttpFigures, Measures, Plan, Round, run
from bench.settings import HOST, Settings, model_server
from bench.summary import summarize
from bench.table import render
from bench.workload import Workload

_TIMEOUT_S = 60.0
_WARM_UP_S = 2.0


@dataclass(frozen=True)
class Options:
    """What is measured, and for how long."""

    settings: Settings
    prompt_tokens: int
    new_tokens: int
    plan: Plan
    seconds: float
    """For everything, starting included and ending not."""
    out: Path


def benchmark(options: Options) -> str:
    """Run everything, write the results into `options.out`, and hand back the table."""
    budget = Budget(options.seconds)
    machine_facts = machine.describe()
    options.out.mkdir(parents=True, exist_ok=True)
    with _started(options, budget) as (workload, measures):
        rounds = list(run(options.plan, measures, budget))
    summary = summarize(rounds, options.plan.sessions)
    stopped = len(rounds) < options.plan.rounds or not all(_complete(r, options.plan) for r in rounds)
    table = render(workload, options.plan, summary, len(rounds), stopped)
    result = {
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": asdict(machine_facts),
        "workload": asdict(workload),
        "plan": asdict(options.plan),
        "stopped_early": stopped,
        "summary": asdict(summary),
        "rounds": [asdict(done) for done in rounds],
    }
    (options.out / "latest.json").write_text(json.dumps(result, indent=1) + "\n")
    (options.out / "latest.txt").write_text(table)
    return table


@contextmanager
def _started(options: Options, budget: Budget) -> Iterator[tuple[Workload, Measures]]:
    """Everything that is compared, running and warm; all of it ended afterwards."""
    settings = options.settings
    past = options.prompt_tokens + options.new_tokens // 2
    with ExitStack() as stack:
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tl-", dir="/tmp")))
        app = stack.enter_context(application.serving(settings, options.out / "serve.log"))
        application.wait_until_ready(app, settings, budget.left)
        environment = application.model_server_environment(app)
        command = model_server(settings, sockets / "s")
        stack.enter_context(running(command, options.out / "modelserver.log", environment))
        command = raw.command(settings, past)
        stepping = stack.enter_context(
            running(command, options.out / "raw_step.log", environment, pipes=True)
        )
        channel = stack.enter_context(_channel(f"unix:{sockets / 's'}", budget))
        loop = NaiveLoop(channel, settings.model)
        raw.wait_until_ready(stepping, budget.left)
        workload = _workload(options, loop)
        measures = _measures(options, workload, app, loop, stepping)
        _warm_up(options.plan, measures)
        yield workload, measures


def _workload(options: Options, loop: NaiveLoop) -> Workload:
    length, most = options.prompt_tokens + options.new_tokens, loop.manifest.context_length
    if length > most:
        raise ValueError(f"prompt and new tokens make {length}; the model's context holds {most}")
    return Workload(
        options.settings.model, options.prompt_tokens, options.new_tokens, loop.manifest.vocabulary_size
    )


def _measures(options: Options, workload: Workload, app: Child, loop: NaiveLoop, stepping: Child) -> Measures:
    generator = LoadGenerator(HOST, options.settings.port, workload, lambda: cpu.read(app.tree))
    numbers = itertools.count(step=1000)

    def http(sessions: int, seconds: float) -> HttpFigures:
        measured = generator.measure(sessions, seconds, _TIMEOUT_S)
        tokens = max(1, measured.latencies.tokens)
        spent = cpu.spent(measured.before, measured.after)
        by_part = {part: 1000 * used / tokens for part, used in spent.items()}
        return HttpFigures(measured.latencies, by_part, 1000 * measured.client_cpu_s / tokens)

    return Measures(
        http,
        lambda seconds: naive.measure(loop, workload, next(numbers), seconds),
        lambda batch, seconds: raw.measure(stepping, batch, seconds, _TIMEOUT_S),
    )


def _warm_up(plan: Plan, measures: Measures) -> None:
    seconds = min(_WARM_UP_S, plan.seconds)
    for sessions in plan.sessions:
        measures.http(sessions, seconds)
    measures.naive(seconds)


@contextmanager
def _channel(target: str, budget: Budget) -> Iterator[grpc.Channel]:
    """Connected: the server loads its model before it listens."""
    with grpc.insecure_channel(target, options=naive.OPTIONS) as channel:
        grpc.channel_ready_future(channel).result(timeout=budget.left)
        yield channel


def _complete(done: Round, plan: Plan) -> bool:
    wanted = set(plan.sessions)
    return done.http.keys() == wanted and done.raw.keys() == wanted and done.naive is not None
