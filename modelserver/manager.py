"""The models of a server: looks for versions, loads and unloads them, and lends them to calls.

Knows neither gRPC nor TensorFlow: what a version is, once loaded, is up to `loader`.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from modelserver.config import ModelConfig
from modelserver.errors import Status, invalid, not_found, unknown
from modelserver.lifecycle import Version
from modelserver.loading import Retries, load, unload
from modelserver.model import Model, VersionStatus
from modelserver.process import log
from modelserver.servable import LoadedServable, Loader
from modelserver.versions import list_versions


@dataclass(frozen=True)
class PollIntervals:
    """How often to look for versions and how hard to try to load them."""

    poll_seconds: int
    """0 looks once, below 0 never."""
    load_threads: int
    retries: Retries


class Manager:
    """Keeps what is loaded in step with what lies on disk."""

    def __init__(self, configs: Sequence[ModelConfig], loader: Loader, pace: PollIntervals) -> None:
        self._models = {config.name: Model(config) for config in configs}
        self._loader = loader
        self._pace = pace
        self._changed = threading.Condition()
        self._complaints: set[str] = set()
        self._loads = ThreadPoolExecutor(max(1, pace.load_threads), thread_name_prefix="load")

    def start(self) -> None:
        """Begin to look for versions, again and again."""
        if self._pace.poll_seconds >= 0:
            threading.Thread(target=self._poll_forever, name="poll", daemon=True).start()

    def wait_until_available(self) -> None:
        """Return once every model answers; Status where one has no version that could be loaded."""
        with self._changed:
            self._changed.wait_for(lambda: all(model.settled for model in self._models.values()))
            missing = [model for model in self._models.values() if not model.available]
            failures = [version for model in missing for version in model.failures]
        if missing:
            raise _did_not_load(failures)

    @contextmanager
    def lend(self, spec: Any) -> Iterator[tuple[LoadedServable, int]]:
        """The servable that a ModelSpec names, held against unloading, and its version."""
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        # Under one lock, or the latest version could be replaced between being found and being entered.
        with self._changed:
            version, asked = self._find(spec)
            servable = version.enter() if version else None
        if version is None or servable is None:
            raise not_found(f"Servable not found for request: {asked}")
        try:
            yield servable, version.number
        finally:
            version.leave()

    def statuses(self, name: str, number: int | None) -> list[VersionStatus]:
        """What there is of model `name`, or of one version of it; Status where there is nothing."""
        with self._changed:
            model = self._models.get(name)
            statuses = model.statuses() if model else []
        if not statuses:
            raise not_found(f"Could not find any versions of model {name}")
        chosen = [status for status in statuses if number in (None, status.number)]
        if not chosen:
            raise not_found(f"Could not find version {number} of model {name}")
        return chosen

    def _find(self, spec: Any) -> tuple[Version[LoadedServable] | None, str]:
        """The version asked for, if there is one, and how the real server prints the request."""
        model = self._models.get(spec.name)
        number = _number(spec, model)
        if number is not None:
            return model.version(number) if model else None, f"Specific({spec.name}, {number})"
        latest = model.version(model.available[-1]) if model and model.available else None
        return latest, f"Latest({spec.name})"

    def _poll_forever(self) -> None:
        self.look()
        while self._pace.poll_seconds > 0:
            threading.Event().wait(self._pace.poll_seconds)
            self.look()

    def look(self) -> None:
        """Look for versions once, and begin to load and unload accordingly."""
        for model in self._models.values():
            paths = self._look(model.config)
            if paths is not None:
                with self._changed:
                    model.found(paths)
                    self._advance(model)

    def _look(self, config: ModelConfig) -> dict[int, str] | None:
        """The versions on disk; None where there is no telling."""
        try:
            paths = list_versions(config.base_path)
        except OSError as error:
            self._complain(f"no versions of {config.name}: {error}")
            return None
        if not paths:
            self._complain(f"no versions of {config.name} in {config.base_path}")
        return paths

    def _complain(self, line: str) -> None:
        """Log what is found at every look, but once."""
        if line not in self._complaints:
            self._complaints.add(line)
            log(line)

    def _advance(self, model: Model) -> None:
        to_load, to_unload = model.next_steps()
        for version in to_load:
            self._loads.submit(self._load, model, version)
        for version in to_unload:
            threading.Thread(target=self._unload, args=(model, version), name="unload", daemon=True).start()
        self._changed.notify_all()

    def _load(self, model: Model, version: Version[LoadedServable]) -> None:
        load(version, self._loader, self._pace.retries, lambda: model.wants(version.number))
        with self._changed:
            self._advance(model)

    def _unload(self, model: Model, version: Version[LoadedServable]) -> None:
        unload(version)
        with self._changed:
            self._advance(model)


def _number(spec: Any, model: Model | None) -> int | None:
    choice = spec.WhichOneof("version_choice")
    if choice == "version":
        return int(spec.version.value)
    if choice == "version_label":
        if model is None:
            raise invalid(f"Unrecognized servable version label: {spec.version_label}")
        return model.labelled(spec.version_label)
    return None


def _did_not_load(failures: list[Version[LoadedServable]]) -> Status:
    reasons = "".join(f"{{{version} due to error: {version.error}}}, " for version in failures)
    return unknown(f"{len(failures)} servable(s) did not become available: {{{reasons}}}")
