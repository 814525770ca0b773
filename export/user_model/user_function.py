"""Finds a user's function by `module:function`. Like `python -m`, it also looks in the working directory."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from export.errors import SourceError
from export.user_errors import errors_located


def find_function(source: str) -> Callable[[], Any]:
    """Imports the module and returns the function; raises SourceError if either is missing or fails."""
    module_name, colon, path = source.partition(":")
    if not (module_name and colon and path):
        raise SourceError(f"{source!r} is not of the form module:function")
    module = _module(module_name)
    try:
        found = attrgetter(path)(module)
    except AttributeError:
        raise SourceError(f"module {module_name} has no function {path}") from None
    if not callable(found):
        raise SourceError(f"{source} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def _module(name: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    # Python caches the contents of directories: the module may be newer.
    importlib.invalidate_caches()
    _check_exists(name)
    with errors_located(SourceError):
        return importlib.import_module(name)


def _check_exists(name: str) -> None:
    """Raises SourceError if the module is missing, or if its import fails for lack of another module."""
    with errors_located(SourceError):
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise
            found = None
    if found is None:
        raise SourceError(f"module {name} cannot be imported: there is no such module in . or on sys.path")
