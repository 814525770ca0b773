"""A version moves through its states by the table, and waits for its running calls."""

import threading

import pytest

from modelserver.errors import invalid
from modelserver.lifecycle import MOVES, IllegalTransitionError, Version, VersionState


def available() -> Version[str]:
    version: Version[str] = Version("m", 1, "/m/1")
    version.loading()
    version.loaded("servable")
    return version


def test_every_state_is_in_the_table_and_end_is_the_end():
    assert set(MOVES) == set(VersionState)
    assert not MOVES[VersionState.END]


def test_a_life_from_start_to_end():
    version = available()
    assert version.enter() == "servable"
    version.leave()
    version.unloading()
    assert version.release() == "servable"
    version.unloaded()
    assert version.state is VersionState.END


def test_a_failed_load_is_an_end_with_a_reason():
    version: Version[str] = Version("m", 1, "/m/1")
    version.loading()
    version.failed(invalid("bad"))
    assert version.state is VersionState.END
    assert version.error is not None


def test_an_illegal_move_names_the_version_and_both_states():
    version = available()
    with pytest.raises(
        IllegalTransitionError, match=r"\{name: m version: 1\} cannot go from AVAILABLE to END"
    ):
        version.unloaded()
    assert version.state is VersionState.AVAILABLE


def test_no_call_enters_before_it_is_available_or_after_it_was():
    version: Version[str] = Version("m", 1, "/m/1")
    assert version.enter() is None
    version = available()
    version.unloading()
    assert version.enter() is None


def test_release_waits_for_the_calls_in_flight():
    version = available()
    version.enter()
    version.enter()
    version.unloading()
    released: list[str] = []
    thread = threading.Thread(target=lambda: released.append(version.release()))
    thread.start()
    version.leave()
    assert not released
    version.leave()
    thread.join()
    assert released == ["servable"]
