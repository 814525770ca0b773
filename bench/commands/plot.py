"""`python -m bench plot FILE`: a picture of a result, from its JSON alone."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import pictures
from bench.compare import plot as comparison
from bench.figures import growth_plot as growth
from bench.pictures import NoPictures

DRAWERS = {"compare": comparison.draw, "growth": growth.draw}


def main(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench plot", description="Draw a result.")
    parser.add_argument("file", type=Path, help="what a command wrote as JSON")
    try:
        print(draw(parser.parse_args(given).file))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def draw(file: Path) -> Path:
    """The picture that was written beside `file`."""
    result = json.loads(file.read_text())
    drawer = DRAWERS.get(result.get("kind"))
    if drawer is None:
        raise ValueError(f"{file} is none of {', '.join(DRAWERS)}")
    path = file.with_suffix(".png")
    drawer(pictures.pyplot(), result, path)
    return path


def try_to_draw(file: Path) -> None:
    """The same, but where nothing can be drawn that is said, and no failure."""
    try:
        print(f"drawn: {draw(file)}", file=sys.stderr)
    except NoPictures as error:
        print(f"not drawn: {error}", file=sys.stderr)
