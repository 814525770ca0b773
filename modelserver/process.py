"""How the process ends, and what it says on stderr."""

import os
import sys
from types import FrameType
from typing import NoReturn

FAILED = 255
"""The real server's exit status where the start fails."""


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def end(code: int, line: str) -> NoReturn:
    """End at once: a load or a run that never ends must not keep the process alive."""
    log(line)
    os._exit(code)


def on_terminate(_signal: int, _frame: FrameType | None) -> None:
    """Signal handler: leaves whatever the main thread is doing."""
    raise SystemExit(0)
