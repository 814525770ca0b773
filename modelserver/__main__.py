"""`python -m modelserver`: the flags, then TensorFlow, which takes seconds, then the server."""

import os
import signal
import sys
from typing import NoReturn

from modelserver.flags import FlagError, Flags, parse, usage
from modelserver.process import FAILED, end, on_terminate
from modelserver.quiet import native_stderr_off


def main(arguments: list[str]) -> NoReturn:
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, on_terminate)
    flags = _flags(arguments)
    _import_tensorflow()
    from modelserver.server import serve

    serve(flags)


def _flags(arguments: list[str]) -> Flags:
    try:
        return parse(arguments)
    except FlagError as error:
        end(FAILED, f"{error}\n{usage()}")


def _import_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with native_stderr_off():
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")


if __name__ == "__main__":
    main(sys.argv[1:])
