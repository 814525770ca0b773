"""Strict reading of decoded JSON: every value has its type, and no key goes unread."""

from typing import Any, TypeVar, cast

from contract.errors import ManifestError

T = TypeVar("T")


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ManifestError(message)


class Reader:
    """One JSON object whose keys are read one by one; `finish` rejects those that nobody asked for."""

    def __init__(self, path: str, value: Any) -> None:
        require(isinstance(value, dict), f"{path} must be a JSON object, not {_kind(value)}")
        self._path = path
        self._rest: dict[str, Any] = dict(value)

    def string(self, key: str) -> str:
        return self._typed(key, self._take(key), str)

    def integer(self, key: str) -> int:
        return self._typed(key, self._take(key), int)

    def number(self, key: str) -> float:
        return float(self._typed(key, self._take(key), int, float))

    def optional_string(self, key: str) -> str | None:
        value = self._take(key)
        return None if value is None else self._typed(key, value, str)

    def optional_integer(self, key: str) -> int | None:
        value = self._take(key)
        return None if value is None else self._typed(key, value, int)

    def integers(self, key: str) -> tuple[int, ...]:
        return tuple(self._typed(key, item, int) for item in self._typed(key, self._take(key), list))

    def strings(self, key: str) -> dict[str, str]:
        items = self._typed(key, self._take(key), dict)
        return {name: self._typed(f"{key}.{name}", item, str) for name, item in items.items()}

    def object(self, key: str) -> "Reader":
        return Reader(f"{self._path}.{key}", self._take(key))

    def optional_object(self, key: str) -> "Reader | None":
        value = self._take(key)
        return None if value is None else Reader(f"{self._path}.{key}", value)

    def objects(self, key: str) -> "list[Reader]":
        items = self._typed(key, self._take(key), list)
        return [Reader(f"{self._path}.{key}[{i}]", item) for i, item in enumerate(items)]

    def finish(self) -> None:
        require(not self._rest, f"{self._path} has unknown keys: {', '.join(sorted(self._rest))}")

    def _take(self, key: str) -> Any:
        require(key in self._rest, f"{self._path}.{key} is missing")
        return self._rest.pop(key)

    def _typed(self, key: str, value: Any, *kinds: type[T]) -> T:
        fits = isinstance(value, kinds) and not isinstance(value, bool)
        allowed = " or ".join(kind.__name__ for kind in kinds)
        require(fits, f"{self._path}.{key} must be {allowed}, not {_kind(value)}")
        return cast(T, value)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
