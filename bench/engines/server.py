"""Another engine's HTTP server as a child: ready when it answers, measured like this application."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bench.application import wait_until_healthy
from bench.dialects import Dialect
from bench.engines.engine import Measure
from bench.load import Address
from bench.over_http import Served
from bench.processes import running
from bench.settings import HOST

_START_TIMEOUT_S = 400.0


@contextlib.contextmanager
def serving(
    command: Sequence[str], port: int, log: Path, env: Mapping[str, str], dialect: Dialect
) -> Iterator[Measure]:
    with running(command, log, env) as child:
        wait_until_healthy(child, port, _START_TIMEOUT_S)
        yield Served(Address(HOST, port, dialect), child).measure
