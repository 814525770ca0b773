"""Errors raised by a user's code, as one line that says where in it."""

import os
import re
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import contract
from export.errors import ExportError

_OTHERS = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})
_OURS = tuple(str(Path(package).parent) for package in (__file__, contract.__file__))


@contextmanager
def blamed(kind: type[ExportError], prefix: str = "") -> Iterator[None]:
    """Whatever the code inside raises becomes a `kind`; what is one already stays as it is."""
    try:
        yield
    except ExportError:
        raise
    # A user's code may raise anything.
    except Exception as error:
        raise kind(f"{prefix}{located(error)}") from error


def located(error: Exception) -> str:
    """`file:line: type: message`, of the innermost line that is neither ours nor an installed package's."""
    place = _place(error)
    text = f"{type(error).__name__}: {one_line(error)}"
    return f"{os.path.relpath(place[0])}:{place[1]}: {text}" if place else text


def one_line(error: Exception) -> str:
    """What it says, for a message of ours."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # Keras writes in bold.
    return " ".join(plain.split())[:500]


def _place(error: Exception) -> tuple[str, int] | None:
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return error.filename, error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_users(frame.filename)]
    return (own[-1].filename, own[-1].lineno or 0) if own else None


def _is_users(file: str) -> bool:
    return not file.startswith(("<", *_OURS, *_OTHERS))
