"""The loops that tutorials write against a model server, one session at a time, in float32."""

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import grpc

from bench.engines.engine import Engine, Kind, Measure, Setup
from bench.engines.surroundings import environment
from bench.latency import Latencies
from bench.naive import OPTIONS, Generate, NaiveLoop, measure
from bench.processes import Child, running
from bench.rounds import HttpFigures
from bench.settings import model_server
from bench.small.servables import EXPLICIT_F32, base_path
from bench.small.settings import settings
from bench.workload import Workload

_START_TIMEOUT_S = 200.0


@contextlib.contextmanager
def _loop(setup: Setup) -> Iterator[NaiveLoop]:
    """Against a model server like the application's own."""
    chosen = settings(EXPLICIT_F32.name, base_path(setup.cache, EXPLICIT_F32), {})
    with tempfile.TemporaryDirectory(prefix="tl-", dir="/tmp") as directory:
        socket = Path(directory) / "s"
        command = model_server(chosen, socket)
        with (
            running(command, setup.logs / "naive-modelserver.log", environment(setup)) as server,
            grpc.insecure_channel(f"unix:{socket}", options=OPTIONS) as channel,
        ):
            _wait(channel, server)
            yield NaiveLoop(channel, EXPLICIT_F32.name)


def _wait(channel: grpc.Channel, server: Child) -> None:
    try:
        grpc.channel_ready_future(channel).result(timeout=_START_TIMEOUT_S)
    except grpc.FutureTimeoutError:
        raise TimeoutError(f"{server.name} did not answer in time:\n{server.log}") from None


@contextlib.contextmanager
def _started(setup: Setup, way: Callable[[NaiveLoop], Generate]) -> Iterator[Measure]:
    numbers = itertools.count(step=1000)
    with _loop(setup) as loop:

        def measured(workload: Workload, _sessions: int, seconds: float) -> HttpFigures:
            # One whole answer at least: tokens take longer and longer.
            seen = measure(way(loop), workload, next(numbers), seconds, workload.new_tokens)
            first, other = seen.first_token_ms, seen.inter_token_ms
            return HttpFigures(Latencies(0, seen.tokens_per_s or 0.0, 1.0, first, other, other), {}, 0.0)

        yield measured


def _engine(name: str, title: str, way: Callable[[NaiveLoop], Generate]) -> Engine:
    def prepare(setup: Setup) -> None:
        base_path(setup.cache, EXPLICIT_F32)

    started = partial(_started, way=way)
    return Engine(name, f"naive loop, {title}", Kind.NAIVE, prepare, started, most_sessions=1)


STATE = _engine("naive", "state to and fro, f32", lambda loop: loop.generate)
PREFIX = _engine("naive-prefix", "whole prefix anew, f32", lambda loop: loop.generate_anew)
