"""The versions on disk, the ones that policies choose, and the plan of loads and unloads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.lifecycle import VersionState
from modelserver.versions import All, Latest, Specific, VersionPlan, plan, versions_named

NUMBERS = st.frozensets(st.integers(0, 6))
STATES = st.dictionaries(st.integers(0, 6), st.sampled_from(VersionState))


def test_versions_are_directories_named_by_whole_numbers():
    names = ["1", "03", "x", "-1", "2.0", "", "²", "12"]
    assert dict(versions_named(names)) == {1: "1", 3: "03", 12: "12"}


@pytest.mark.parametrize(
    ("policy", "chosen"),
    [
        (Latest(), {9}),
        (Latest(2), {7, 9}),
        (Latest(5), {1, 7, 9}),
        (All(), {1, 7, 9}),
        (Specific(frozenset({1, 8})), {1}),
    ],
)
def test_a_policy_chooses_among_what_is_there(policy: Latest | All | Specific, chosen: set[int]):
    assert policy.choose([9, 1, 7]) == chosen


def _plan(
    wanted: set[int], states: dict[int, VersionState], failed: set[int], before: set[int]
) -> VersionPlan:
    return plan(frozenset(wanted), states, failed, frozenset(before))


def test_the_old_version_stays_until_the_new_one_answers():
    old = {1: VersionState.AVAILABLE}
    assert _plan({2}, old, set(), {1}) == VersionPlan(load=frozenset({2}), unload=frozenset())
    assert _plan({2}, old | {2: VersionState.LOADING}, set(), {2}) == VersionPlan(frozenset(), frozenset())
    assert _plan({2}, old | {2: VersionState.AVAILABLE}, set(), {2}) == VersionPlan(
        frozenset(), frozenset({1})
    )


def test_the_old_version_stays_when_the_new_one_failed():
    states = {1: VersionState.AVAILABLE, 2: VersionState.END}
    assert _plan({2}, states, {2}, {2}) == VersionPlan(frozenset(), frozenset())


def test_a_failed_version_is_tried_again_once_it_has_been_away():
    assert _plan({2}, {2: VersionState.END}, {2}, set()).load == {2}


def test_a_version_that_was_unloaded_is_loaded_when_it_comes_back():
    assert _plan({1}, {1: VersionState.END}, set(), {1}).load == {1}


def test_everything_is_unloaded_when_nothing_is_left():
    assert _plan(set(), {1: VersionState.AVAILABLE, 2: VersionState.LOADING}, set(), {2}).unload == {1}


@given(NUMBERS, STATES, NUMBERS, NUMBERS)
def test_a_plan_never_takes_away_the_last_answer(wanted, states, failed, before):
    available = {number for number, state in states.items() if state is VersionState.AVAILABLE}
    unload = plan(wanted, states, failed, before).unload
    assert unload <= available - wanted
    assert not wanted or not available or available - unload


@given(NUMBERS, STATES, NUMBERS, NUMBERS)
def test_a_plan_loads_only_what_is_wanted_and_ended(wanted, states, failed, before):
    load = plan(wanted, states, failed, before).load
    assert load <= wanted
    assert all(states.get(number, VersionState.END) is VersionState.END for number in load)
