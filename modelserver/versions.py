"""The versions on disk, the version policies, and the plan of loads and unloads."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from modelserver.lifecycle import VersionState


@dataclass(frozen=True)
class Latest:
    """The policy that serves the `count` highest versions."""

    count: int = 1

    def choose(self, versions: Collection[int]) -> frozenset[int]:
        """Returns the versions to serve."""
        return frozenset(sorted(versions)[-self.count :])


@dataclass(frozen=True)
class All:
    """The policy that serves every version."""

    def choose(self, versions: Collection[int]) -> frozenset[int]:
        """Returns the versions to serve."""
        return frozenset(versions)


@dataclass(frozen=True)
class Specific:
    """The policy that serves the versions named here, if they exist."""

    versions: frozenset[int]

    def choose(self, versions: Collection[int]) -> frozenset[int]:
        """Returns the versions to serve."""
        return self.versions & frozenset(versions)


VersionPolicy = Latest | All | Specific


def list_versions(base_path: str) -> dict[int, str]:
    """Returns the versions under `base_path`, as number -> path; OSError if it cannot be listed."""
    return {number: os.path.join(base_path, name) for number, name in versions_named(os.listdir(base_path))}


def versions_named(names: Iterable[str]) -> list[tuple[int, str]]:
    """Returns (number, name) of each name that is a version: `03` is 3; `-1` and `x` are not versions."""
    return [(int(name), name) for name in sorted(names) if name.isascii() and name.isdigit()]


@dataclass(frozen=True)
class VersionPlan:
    """The versions to load now, and the versions to unload now."""

    load: frozenset[int]
    unload: frozenset[int]


def plan(
    wanted: frozenset[int],
    states: Mapping[int, VersionState],
    failed: Collection[int],
    before: frozenset[int],
) -> VersionPlan:
    """Plans loads and unloads from the wanted versions, and the states of those that exist.

    Wanted versions that are not loaded are loaded. Available versions that are not wanted are unloaded, but
    only once a wanted version is available, or none is wanted. A version in `failed` is loaded again only if
    it was not wanted before (`before` is the previous `wanted`).
    """
    absent = {number for number in wanted if states.get(number, VersionState.END) is VersionState.END}
    available = {number for number, state in states.items() if state is VersionState.AVAILABLE}
    replaced = not wanted or bool(available & wanted)
    return VersionPlan(
        load=frozenset(number for number in absent if number not in failed or number not in before),
        unload=frozenset(available - wanted) if replaced else frozenset(),
    )
