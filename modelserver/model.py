"""One model: its versions, and which of them are wanted. The manager loads and unloads them."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelserver.config import ModelConfig
from modelserver.errors import StatusError, invalid
from modelserver.lifecycle import Version, VersionState
from modelserver.servable import LoadedServable
from modelserver.versions import plan


@dataclass(frozen=True)
class VersionStatus:
    """The status of one version, as GetModelStatus reports it."""

    number: int
    state: VersionState
    error: StatusError | None
    """The reason of a failed load."""


class Model:
    """The versions of one model. Not thread-safe: the manager calls it under its lock.

    A version is wanted if the base path contains it and the version policy chooses it.
    """

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._versions: dict[int, Version[LoadedServable]] = {}
        self._wanted: frozenset[int] = frozenset()
        self._before: frozenset[int] = frozenset()
        self._paths: Mapping[int, str] = {}

    def set_paths(self, paths: Mapping[int, str]) -> None:
        """Sets the versions that the base path contains now, as number -> path."""
        self._paths = paths
        self._before, self._wanted = self._wanted, self.config.policy.choose(paths.keys())

    def next_steps(self) -> tuple[list[Version[LoadedServable]], list[Version[LoadedServable]]]:
        """Returns the versions to load, new and in START, and the versions to unload, already UNLOADING."""
        states = {number: version.state for number, version in self._versions.items()}
        failed = [number for number, version in self._versions.items() if version.error]
        steps = plan(self._wanted, states, failed, self._before)
        self._before = self._wanted
        for number in steps.load:
            self._versions[number] = Version(self.config.name, number, self._paths[number])
        unload = [self._versions[number] for number in sorted(steps.unload)]
        for version in unload:
            version.unloading()
        return [self._versions[number] for number in sorted(steps.load)], unload

    def is_wanted(self, number: int) -> bool:
        """Returns whether the version is wanted."""
        return number in self._wanted

    @property
    def settled(self) -> bool:
        """Whether there is a wanted version and each one is AVAILABLE or END."""
        states = [self._versions[number].state for number in self._wanted if number in self._versions]
        return bool(states) and all(state in (VersionState.AVAILABLE, VersionState.END) for state in states)

    @property
    def failures(self) -> list[Version[LoadedServable]]:
        """The versions that failed to load."""
        return [version for version in self._versions.values() if version.error]

    @property
    def available(self) -> list[int]:
        """The numbers of the versions that are AVAILABLE, in ascending order."""
        return sorted(n for n, version in self._versions.items() if version.state is VersionState.AVAILABLE)

    def version_of_label(self, label: str) -> int:
        """Returns the number of the version with this label; StatusError if no version has it."""
        try:
            return self.config.labels[label]
        except KeyError:
            raise invalid(f"Unrecognized servable version label: {label}") from None

    def version(self, number: int) -> Version[LoadedServable] | None:
        """Returns the version with this number, if it has ever been wanted."""
        return self._versions.get(number)

    def statuses(self) -> list[VersionStatus]:
        """Returns the status of every version, the highest number first."""
        versions = sorted(self._versions.values(), key=lambda version: -version.number)
        return [VersionStatus(version.number, version.state, version.error) for version in versions]
