"""`python -m modelserver`: what must happen before TensorFlow is imported, then the server."""

import os
import signal
import sys
from types import FrameType

from modelserver.quiet import native_stderr_off


def _terminate(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _import_tensorflow() -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with native_stderr_off():
        import tensorflow as tf
    tf.get_logger().setLevel("ERROR")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminate)
    _import_tensorflow()

    from modelserver.server import main

    main(sys.argv[1:])
