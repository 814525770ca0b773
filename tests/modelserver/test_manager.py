"""The manager, with fake servables that hold only their path."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from contract.stubs import model_pb2
from contract.tensors import Array
from modelserver.config import ModelConfig
from modelserver.errors import StatusError, invalid
from modelserver.lifecycle import VersionState
from modelserver.loading import Retries
from modelserver.manager import LoadOptions, Manager
from modelserver.servable import Signature


class FakeServable:
    """A servable that cannot run, and knows whether it was closed."""

    signatures: Mapping[str, Signature]
    signature_defs: Mapping[str, Any]

    def __init__(self, path: str) -> None:
        self.path = path
        self.is_closed = False

    def run(self, feeds: Mapping[str, Array], fetches: Sequence[str], seconds: float | None) -> list[Array]:
        raise NotImplementedError

    def close(self) -> None:
        self.is_closed = True


SPEC = model_pb2.ModelSpec(name="m")


class Disk:
    """A base path, and its manager, which polls when a method here changes the path."""

    def __init__(self, path: Path, loader: Any = FakeServable, retries: int = 0) -> None:
        self.path = path
        options = LoadOptions(poll_seconds=-1, load_threads=1, retries=Retries(retries, 0.0))
        self.manager = Manager([ModelConfig("m", str(path))], loader, options)

    def add(self, version: int) -> None:
        (self.path / str(version)).mkdir()
        self.manager.poll()

    def remove(self, version: int) -> None:
        (self.path / str(version)).rmdir()
        self.manager.poll()

    def states(self) -> dict[int, VersionState]:
        return {status.number: status.state for status in self.manager.statuses("m", None)}


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@contextmanager
def hammered(manager: Manager, threads: int) -> Iterator[list[BaseException]]:
    """Calls the latest version from several threads without pause; yields the list of their errors."""
    wrong: list[BaseException] = []
    ending = threading.Event()

    def call() -> None:
        while not ending.is_set():
            try:
                with manager.lend(SPEC) as (servable, _):
                    assert isinstance(servable, FakeServable)
                    assert not servable.is_closed
            except BaseException as error:
                wrong.append(error)
                return

    running = [threading.Thread(target=call) for _ in range(threads)]
    for thread in running:
        thread.start()
    yield wrong
    ending.set()
    for thread in running:
        thread.join()


def test_the_latest_version_always_answers_while_versions_follow_one_another(disk: Disk):
    disk.add(1)
    disk.manager.wait_until_available()
    with hammered(disk.manager, threads=3) as wrong:
        for version in range(2, 40):
            disk.add(version)
            while disk.states()[version - 1] is not VersionState.END:
                pass
            disk.remove(version - 1)
    assert not wrong


def test_waiting_ends_with_the_reasons_when_nothing_could_be_loaded(tmp_path: Path):
    def loader(path: str) -> FakeServable:
        raise invalid(f"{Path(path).name} is bad")

    disk = Disk(tmp_path, loader)
    disk.add(3)
    expected = r"1 servable\(s\) did not become available: \{\{\{name: m version: 3\} due to error: "
    with pytest.raises(StatusError, match=expected + "INVALID_ARGUMENT: 3 is bad}, }"):
        disk.manager.wait_until_available()


def test_a_loader_that_breaks_is_a_failed_load(tmp_path: Path):
    def loader(path: str) -> FakeServable:
        raise KeyError(f"an operation of {path} that is not there")

    disk = Disk(tmp_path, loader)
    disk.add(1)
    with pytest.raises(StatusError, match="UNKNOWN: KeyError"):
        disk.manager.wait_until_available()


def test_a_load_is_tried_again_as_often_as_the_options_say(tmp_path: Path):
    attempts: list[str] = []

    def loader(path: str) -> FakeServable:
        attempts.append(path)
        if len(attempts) < 3:
            raise invalid("not yet")
        return FakeServable(path)

    disk = Disk(tmp_path, loader, retries=2)
    disk.add(1)
    disk.manager.wait_until_available()
    assert len(attempts) == 3


def test_a_file_named_like_a_version_fails_and_leaves_the_others(disk: Disk):
    disk.add(3)
    disk.manager.wait_until_available()
    (disk.path / "7").touch()
    disk.manager.poll()
    while disk.states()[7] is not VersionState.END:
        pass
    (status,) = disk.manager.statuses("m", 7)
    assert status.error is not None
    assert status.error.message == (
        "Error while attempting to reserve resources to load servable {name: m version: 7}: "
        f"{disk.path}/7; Not a directory"
    )
    assert disk.states()[3] is VersionState.AVAILABLE


def test_a_base_path_that_cannot_be_listed_changes_nothing(disk: Disk):
    disk.add(1)
    disk.manager.wait_until_available()
    disk.path.rename(disk.path.with_name("moved"))
    disk.manager.poll()
    assert disk.states() == {1: VersionState.AVAILABLE}
