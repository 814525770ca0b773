"""Everything that is compared: started, connected and ready to be measured. Knows nothing of results."""

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc

from bench import application, naive
from bench.load import Address
from bench.naive import NaiveLoop
from bench.over_http import Served
from bench.processes import Child, running
from bench.raw import client as raw
from bench.raw.question import Question
from bench.rounds import Budget, Measures
from bench.settings import HOST, Settings, model_server
from bench.workload import Lengths, Workload

_TIMEOUT_S = 60.0


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
        command = raw.command(settings.servable, settings.threads)
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
    served = Served(Address(HOST, port), app)
    numbers = itertools.count(step=1000)
    return Measures(
        lambda sessions, seconds: served.measure(workload, sessions, seconds),
        lambda seconds: naive.measure(loop.generate, workload, next(numbers), seconds),
        lambda batch, seconds: raw.measure(
            stepping, Question(batch, workload.mean_past, seconds), _TIMEOUT_S
        ),
    )
