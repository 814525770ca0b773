"""Messages on stderr, and the end of the process."""

import os
import sys
from typing import NoReturn

FAILED = 255
"""The real server's exit status when the start fails."""


def log(line: str) -> None:
    """Writes a line to stderr."""
    print(line, file=sys.stderr, flush=True)


def end(code: int, line: str) -> NoReturn:
    """Logs `line` and exits at once: a load or a run that never returns must not keep the process alive."""
    log(line)
    os._exit(code)
