"""Checks a written resident servable before it is published."""

from pathlib import Path

from export.servable import Servable


def verify(directory: Path, servable: Servable) -> None:
    """Nothing yet."""
