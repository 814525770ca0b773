"""Small models are verified on more tokens than large ones, and each call has at least two rows."""

from dataclasses import replace

import numpy as np
import pytest

from contract.manifest import Manifest, Pool
from export.verification.prompts import TrialPrompts, choose

EXPLICIT = Manifest("m", "f", vocabulary_size=50, context_length=8192, state=())
POOL = Pool(bytes_per_block=1, block_size=512, blocks=16, max_steps=64)
RESIDENT = replace(EXPLICIT, state_layout="resident", pool=POOL)


class _Runner:
    """A runner with a fixed limit of rows."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def max_rows(self, longest: int) -> int:  # noqa: ARG002
        return self._rows


def _lengths(trials: TrialPrompts) -> list[int]:
    return [len(prompt) for prompt in trials.prompts]


def test_a_small_model_goes_on_in_another_block_and_one_with_a_short_context_to_its_end() -> None:
    assert _lengths(choose(RESIDENT, 10**6)) == [1, 7, 33, 130, 504]
    assert _lengths(choose(replace(RESIDENT, context_length=600), 10**6)) == [1, 7, 33, 130, 504, 584]


def test_what_would_take_long_is_skipped_and_named() -> None:
    assert choose(RESIDENT, 10**6).skipped == (1016, 8176)
    large = choose(RESIDENT, 10**10)
    assert (_lengths(large), large.skipped) == ([1, 7, 33], (130, 504, 1016, 8176))


def test_two_prompts_are_tried_of_any_model() -> None:
    assert _lengths(choose(EXPLICIT, 10**12, tokens=90)) == [1, 7]


@pytest.mark.parametrize("context", [2, 5, 40])
def test_prompts_and_tokens_fit_into_the_context(context: int) -> None:
    trials = choose(replace(EXPLICIT, context_length=context), 1)
    assert max(trials.final_length(prompt) for prompt in trials.prompts) == context


@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        (8, [[0, 1, 2, 3], [0, 4]]),
        (2, [[0, 1], [2, 3], [0, 4]]),
    ],
)
def test_rows_share_calls_as_far_as_there_is_room(rows: int, groups: list[list[int]]) -> None:
    trials = choose(RESIDENT, 10**6)
    assert list(trials.groups(_Runner(rows))) == groups  # type: ignore[arg-type]


def test_a_prompt_that_is_the_only_one_is_a_group() -> None:
    trials = TrialPrompts((np.zeros(1, np.int32),), 1)
    assert list(trials.groups(_Runner(8))) == [[0]]  # type: ignore[arg-type]
