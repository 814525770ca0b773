"""One model: its versions, which of them are wanted, and how a request names one. Loads nothing itself."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelserver.config import ModelConfig
from modelserver.errors import Status, invalid
from modelserver.lifecycle import Version, VersionState
from modelserver.servable import LoadedServable
from modelserver.versions import plan


@dataclass(frozen=True)
class VersionStatus:
    """What GetModelStatus says of one version."""

    number: int
    state: VersionState
    error: Status | None


class Model:
    """Not safe for threads: the manager calls it under its lock."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        self._versions: dict[int, Version[LoadedServable]] = {}
        self._wanted: frozenset[int] = frozenset()
        self._before: frozenset[int] = frozenset()
        self._paths: Mapping[int, str] = {}

    def found(self, paths: Mapping[int, str]) -> None:
        """The base path holds these versions now."""
        self._paths = paths
        self._before, self._wanted = self._wanted, self.config.policy.choose(paths.keys())

    def next_steps(self) -> tuple[list[Version[LoadedServable]], list[Version[LoadedServable]]]:
        """Versions to load, and versions to unload (already closed to new calls)."""
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

    def wants(self, number: int) -> bool:
        return number in self._wanted

    @property
    def settled(self) -> bool:
        """There are versions, and every one that is wanted answers or has failed."""
        states = [self._versions[number].state for number in self._wanted if number in self._versions]
        return bool(states) and all(state in (VersionState.AVAILABLE, VersionState.END) for state in states)

    @property
    def failures(self) -> list[Version[LoadedServable]]:
        return [version for version in self._versions.values() if version.error]

    @property
    def available(self) -> list[int]:
        return sorted(n for n, version in self._versions.items() if version.state is VersionState.AVAILABLE)

    def labelled(self, label: str) -> int:
        try:
            return self.config.labels[label]
        except KeyError:
            raise invalid(f"Unrecognized servable version label: {label}") from None

    def version(self, number: int) -> Version[LoadedServable] | None:
        return self._versions.get(number)

    def statuses(self) -> list[VersionStatus]:
        """Newest first."""
        newest_first = sorted(self._versions.values(), key=lambda version: -version.number)
        return [VersionStatus(version.number, version.state, version.error) for version in newest_first]
