"""Everything that is compared: started, connected and ready to be measured. Knows nothing of results."""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from bench import application, cpu, naive, raw
from bench.load import LoadGenerator
from bench.naive import NaiveLoop
from bench.processes import Child, running
from bench.rounds import Budget, HttpFigures, Measures
from bench.settings import HOST, Settings, model_server
from bench.workload import Workload

_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Lengths:
    """Of every request."""

    prompt: int
    new: int


@contextmanager
def started(
    settings: Settings, lengths: Lengths, logs: Path, budget: Budget
) -> Iterator[tuple[Workload, Measures]]:
    """All running; ended afterwards. What each process writes goes into `logs`."""
    with ExitStack() as stack:
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tl-", dir="/tmp")))
        app = stack.enter_context(application.serving(settings, logs / "serve.log"))
        application.wait_until_ready(app, settings, budget.left)
        environment = application.model_server_environment(app)
        command = model_server(settings, sockets / "s")
        server = stack.enter_context(running(command, logs / "modelserver.log", environment))
        command = raw.command(settings, lengths.prompt + lengths.new // 2)
        stepping = stack.enter_context(running(command, logs / "raw_step.log", environment, pipes=True))
        channel = stack.enter_context(_channel(server, f"unix:{sockets / 's'}", budget))
        loop = NaiveLoop(channel, settings.baseline)
        raw.wait_until_ready(stepping, budget.left)
        workload = _workload(settings.model, lengths, loop)
        yield workload, _measures(settings.port, workload, app, loop, stepping)


@contextmanager
def _channel(server: Child, target: str, budget: Budget) -> Iterator[grpc.Channel]:
    """Connected: the server loads its model before it listens."""
    with grpc.insecure_channel(target, options=naive.OPTIONS) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=budget.left)
        except grpc.FutureTimeoutError:
            raise TimeoutError(f"{server.name} did not answer in time:\n{server.log}") from None
        yield channel


def _workload(model: str, lengths: Lengths, loop: NaiveLoop) -> Workload:
    total, most = lengths.prompt + lengths.new, loop.manifest.context_length
    if total > most:
        raise ValueError(f"prompt and new tokens make {total}; the model's context holds {most}")
    return Workload(model, lengths.prompt, lengths.new, loop.manifest.vocabulary_size)


def _measures(port: int, workload: Workload, app: Child, loop: NaiveLoop, stepping: Child) -> Measures:
    generator = LoadGenerator(HOST, port, workload, lambda: cpu.read(app.tree))
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
