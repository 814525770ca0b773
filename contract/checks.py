"""Strict reading of decoded JSON: every value has the expected type, and no key is left unread."""

from typing import Any, TypeVar, cast

from contract.errors import ManifestError

T = TypeVar("T")


def require(condition: bool, message: str) -> None:
    """Raises ManifestError with `message` unless `condition` holds."""
    if not condition:
        raise ManifestError(message)


class JsonReader:
    """A reader of one JSON object, key by key.

    Each method but `finish` takes a key out of the object and returns its value. ManifestError names the key
    that is missing or has a value of another type; `path` is the object's place in the whole document.
    """

    def __init__(self, path: str, value: Any) -> None:
        require(isinstance(value, dict), f"{path} must be a JSON object, not {_type_name(value)}")
        self._path = path
        self._unread: dict[str, Any] = dict(value)

    def string(self, key: str) -> str:
        """Reads a string."""
        return self._typed(key, self._take(key), str)

    def integer(self, key: str) -> int:
        """Reads an integer."""
        return self._typed(key, self._take(key), int)

    def number(self, key: str) -> float:
        """Reads an integer or a float, as a float."""
        return float(self._typed(key, self._take(key), int, float))

    def optional_string(self, key: str) -> str | None:
        """Reads a string or null."""
        value = self._take(key)
        return None if value is None else self._typed(key, value, str)

    def optional_integer(self, key: str) -> int | None:
        """Reads an integer or null."""
        value = self._take(key)
        return None if value is None else self._typed(key, value, int)

    def integers(self, key: str) -> tuple[int, ...]:
        """Reads a list of integers."""
        return tuple(self._typed(key, item, int) for item in self._typed(key, self._take(key), list))

    def strings(self, key: str) -> dict[str, str]:
        """Reads an object whose values are strings."""
        items = self._typed(key, self._take(key), dict)
        return {name: self._typed(f"{key}.{name}", item, str) for name, item in items.items()}

    def object(self, key: str) -> "JsonReader":
        """Returns a reader of the object under `key`."""
        return JsonReader(f"{self._path}.{key}", self._take(key))

    def optional_object(self, key: str) -> "JsonReader | None":
        """Returns a reader of the object under `key`, or None for null."""
        value = self._take(key)
        return None if value is None else JsonReader(f"{self._path}.{key}", value)

    def objects(self, key: str) -> "list[JsonReader]":
        """Returns a reader of each object in the list under `key`."""
        items = self._typed(key, self._take(key), list)
        return [JsonReader(f"{self._path}.{key}[{i}]", item) for i, item in enumerate(items)]

    def finish(self) -> None:
        """Raises ManifestError if a key has not been read."""
        require(not self._unread, f"{self._path} has unknown keys: {', '.join(sorted(self._unread))}")

    def _take(self, key: str) -> Any:
        require(key in self._unread, f"{self._path}.{key} is missing")
        return self._unread.pop(key)

    def _typed(self, key: str, value: Any, *types: type[T]) -> T:
        # bool is a subclass of int.
        fits = isinstance(value, types) and not isinstance(value, bool)
        allowed = " or ".join(kind.__name__ for kind in types)
        require(fits, f"{self._path}.{key} must be {allowed}, not {_type_name(value)}")
        return cast(T, value)


def _type_name(value: Any) -> str:
    return "null" if value is None else type(value).__name__
