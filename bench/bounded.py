"""A command's time, and what ends it: whatever was started is ended in every case."""

import signal
import sys
from collections.abc import Callable
from types import FrameType

import grpc

from bench.engines.engine import Unavailable
from bench.processes import ProcessEnded
from bench.settings import SettingsError
from bench.sse import ResponseError

ENDING_S = 40
"""Kept back for ending everything."""
FAILURES = (
    SettingsError,
    ProcessEnded,
    ResponseError,
    Unavailable,
    grpc.RpcError,
    TimeoutError,
    ValueError,
    OSError,
)


def run(command: Callable[[], None], seconds: int) -> int:
    """The exit status of `command`, which is interrupted before `seconds` are over."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGALRM, _leave)
    signal.alarm(max(1, seconds - ENDING_S // 2))
    try:
        command()
    except FAILURES as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ended by Ctrl-C", file=sys.stderr)
        return 130
    return 0


def _leave(number: int, _frame: FrameType | None) -> None:
    sys.exit(f"ended by {signal.Signals(number).name}")
