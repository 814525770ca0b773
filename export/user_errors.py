"""Turns errors that a user's code raises into one line with the place in that code."""

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
def errors_located(kind: type[ExportError], prefix: str = "") -> Iterator[None]:
    """Turns each exception that the body raises into a `kind`; an ExportError stays as it is."""
    try:
        yield
    except ExportError:
        raise
    # A user's code may raise anything.
    except Exception as error:
        raise kind(f"{prefix}{located(error)}") from error


def located(error: Exception) -> str:
    """Formats an error as `file:line: type: message`.

    The line is the innermost one that belongs neither to this project nor to an installed package.
    """
    place = _place(error)
    text = f"{type(error).__name__}: {one_line(error)}"
    return f"{os.path.relpath(place[0])}:{place[1]}: {text}" if place else text


def one_line(error: Exception) -> str:
    """Returns the error's message as one line of at most 500 characters, without colours."""
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
