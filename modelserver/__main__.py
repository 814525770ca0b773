"""`python -m modelserver`: parses the flags, imports TensorFlow (which takes seconds), starts the server."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from modelserver.flags import FlagError, Flags, parse, usage
from modelserver.process import FAILED, end

_STDERR = 2


def main(arguments: list[str]) -> NoReturn:
    """Serves until SIGTERM or SIGINT, then ends the process."""
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, _raise_system_exit)
    flags = _flags(arguments)
    _import_tensorflow()
    from modelserver.server import serve

    serve(flags)


def _raise_system_exit(_signal: int, _frame: FrameType | None) -> None:
    """Signal handler: interrupts whatever the main thread does."""
    raise SystemExit(0)


def _flags(arguments: list[str]) -> Flags:
    try:
        return parse(arguments)
    except FlagError as error:
        end(FAILED, f"{error}\n{usage()}")


def _import_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _native_stderr_off():
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")


@contextmanager
def _native_stderr_off() -> Iterator[None]:
    """Redirects file descriptor 2 to /dev/null: native libraries write to it before any log level applies."""
    kept = os.dup(_STDERR)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, _STDERR)
    try:
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(null)
        os.close(kept)


if __name__ == "__main__":
    main(sys.argv[1:])
