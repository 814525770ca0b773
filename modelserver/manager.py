"""The models of a server: polls for versions, loads and unloads them, and lends them to calls."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from modelserver.config import ModelConfig
from modelserver.errors import StatusError, invalid, not_found, unknown
from modelserver.lifecycle import Version
from modelserver.loading import Retries, load, unload
from modelserver.model import Model, VersionStatus
from modelserver.process import log
from modelserver.servable import LoadedServable, ServableLoader
from modelserver.versions import list_versions


@dataclass(frozen=True)
class LoadOptions:
    """When to poll for versions, and how to load them."""

    poll_seconds: int
    """The time between two polls; 0: one poll only; below 0: none."""
    load_threads: int
    """The most versions that load at the same time; 0: one."""
    retries: Retries


class Manager:
    """The models, and the threads that load and unload their versions as the base paths change."""

    def __init__(self, configs: Sequence[ModelConfig], loader: ServableLoader, options: LoadOptions) -> None:
        self._models = {config.name: Model(config) for config in configs}
        self._loader = loader
        self._options = options
        self._changed = threading.Condition()
        self._logged: set[str] = set()
        self._loads = ThreadPoolExecutor(max(1, options.load_threads), thread_name_prefix="load")

    def start(self) -> None:
        """Starts the thread that polls for versions."""
        if self._options.poll_seconds >= 0:
            threading.Thread(target=self._poll_forever, name="poll", daemon=True).start()

    def wait_until_available(self) -> None:
        """Waits until all versions have loaded or failed; StatusError if a model then has none."""
        with self._changed:
            self._changed.wait_for(lambda: all(model.settled for model in self._models.values()))
            missing = [model for model in self._models.values() if not model.available]
            failures = [version for model in missing for version in model.failures]
        if missing:
            raise _did_not_load(failures)

    @contextmanager
    def lend(self, spec: Any) -> Iterator[tuple[LoadedServable, int]]:
        """Yields the servable that a ModelSpec names, and its version, which stays loaded during the block.

        Raises StatusError if there is none.
        """
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        # Under one lock: otherwise the latest version could be unloaded between `_find` and `enter`.
        with self._changed:
            version, request = self._find(spec)
            servable = version.enter() if version else None
        if version is None or servable is None:
            raise not_found(f"Servable not found for request: {request}")
        try:
            yield servable, version.number
        finally:
            version.leave()

    def statuses(self, name: str, number: int | None) -> list[VersionStatus]:
        """Returns the status of version `number`, or of all versions (None); StatusError if there is none."""
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
        """Returns the version that a ModelSpec names, or None, and how the real server prints the request."""
        model = self._models.get(spec.name)
        number = _number(spec, model)
        if number is not None:
            return model.version(number) if model else None, f"Specific({spec.name}, {number})"
        latest = model.version(model.available[-1]) if model and model.available else None
        return latest, f"Latest({spec.name})"

    def _poll_forever(self) -> None:
        self.poll()
        while self._options.poll_seconds > 0:
            threading.Event().wait(self._options.poll_seconds)
            self.poll()

    def poll(self) -> None:
        """Lists the versions on disk once, and starts to load and unload accordingly."""
        for model in self._models.values():
            paths = self._list_versions(model.config)
            if paths is not None:
                with self._changed:
                    model.set_paths(paths)
                    self._advance(model)

    def _list_versions(self, config: ModelConfig) -> dict[int, str] | None:
        """Returns version numbers and paths; None if the base path cannot be listed."""
        try:
            paths = list_versions(config.base_path)
        except OSError as error:
            self._log_once(f"no versions of {config.name}: {error}")
            return None
        if not paths:
            self._log_once(f"no versions of {config.name} in {config.base_path}")
        return paths

    def _log_once(self, line: str) -> None:
        """Logs a line that every poll may give, the first time only."""
        if line not in self._logged:
            self._logged.add(line)
            log(line)

    def _advance(self, model: Model) -> None:
        to_load, to_unload = model.next_steps()
        for version in to_load:
            self._loads.submit(self._load, model, version)
        for version in to_unload:
            threading.Thread(target=self._unload, args=(model, version), name="unload", daemon=True).start()
        self._changed.notify_all()

    def _load(self, model: Model, version: Version[LoadedServable]) -> None:
        load(version, self._loader, self._options.retries, lambda: model.is_wanted(version.number))
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
        return model.version_of_label(spec.version_label)
    return None


def _did_not_load(failures: list[Version[LoadedServable]]) -> StatusError:
    reasons = "".join(f"{{{version} due to error: {version.error}}}, " for version in failures)
    return unknown(f"{len(failures)} servable(s) did not become available: {{{reasons}}}")
