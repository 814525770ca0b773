"""Finds the version directory that a path names."""

from pathlib import Path

from export.errors import SourceError

GRAPH = "saved_model.pb"


def find(path: Path) -> Path:
    """Returns `path` if it is a version directory, else its latest version; raises SourceError if none."""
    if (path / GRAPH).is_file():
        return path
    versions = [each for each in path.glob("*") if each.name.isdecimal() and (each / GRAPH).is_file()]
    if not versions:
        raise SourceError(f"{path} is no servable: there is neither {path / GRAPH} nor {path / '1' / GRAPH}")
    return max(versions, key=lambda each: int(each.name))
