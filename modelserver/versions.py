"""Which versions of a model there are, and which of them should be served. Pure but for one listing."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from modelserver.lifecycle import VersionState


@dataclass(frozen=True)
class Latest:
    """The `count` highest versions."""

    count: int = 1

    def choose(self, found: Collection[int]) -> frozenset[int]:
        return frozenset(sorted(found)[-self.count :])


@dataclass(frozen=True)
class All:
    """Every version."""

    def choose(self, found: Collection[int]) -> frozenset[int]:
        return frozenset(found)


@dataclass(frozen=True)
class Specific:
    """The versions named, as far as they are there."""

    versions: frozenset[int]

    def choose(self, found: Collection[int]) -> frozenset[int]:
        return self.versions & frozenset(found)


Policy = Latest | All | Specific


def list_versions(base_path: str) -> dict[int, str]:
    """Version numbers and paths under `base_path`; OSError where it cannot be listed."""
    return {number: os.path.join(base_path, name) for number, name in versions_named(os.listdir(base_path))}


def versions_named(names: Iterable[str]) -> list[tuple[int, str]]:
    """The names that are version numbers; `03` is 3, and `-1` or `x` are not versions."""
    return [(int(name), name) for name in sorted(names) if name.isascii() and name.isdigit()]


@dataclass(frozen=True)
class VersionPlan:
    """What to do next to come closer to what is wanted."""

    load: frozenset[int]
    unload: frozenset[int]


def plan(
    wanted: frozenset[int],
    states: Mapping[int, VersionState],
    failed: Collection[int],
    before: frozenset[int],
) -> VersionPlan:
    """Load what is wanted and not there; unload what is not wanted, but never the last that answers.

    A version that failed to load is tried again only once it has been unwanted (`before` is what was
    wanted until now).
    """
    gone = {number for number in wanted if states.get(number, VersionState.END) is VersionState.END}
    available = {number for number, state in states.items() if state is VersionState.AVAILABLE}
    replaced = not wanted or bool(available & wanted)
    return VersionPlan(
        load=frozenset(number for number in gone if number not in failed or number not in before),
        unload=frozenset(available - wanted) if replaced else frozenset(),
    )
