"""What takes long to make and is never committed: kept below one directory, each thing with its key."""

import shutil
from collections.abc import Callable
from pathlib import Path


class Cache:
    """Things by name below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def made(self, name: str, key: str, make: Callable[[Path], None]) -> Path:
        """The path of `name`, made anew unless it was made whole under the same `key`."""
        path, mark = self.root / name, self.root / f"{name}.key"
        if not (mark.exists() and mark.read_text() == key):
            mark.unlink(missing_ok=True)
            shutil.rmtree(path, ignore_errors=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
            mark.write_text(key)
        return path
