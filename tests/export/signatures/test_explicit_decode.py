"""Several steps in one call with explicit state give the tokens and the state of as many single steps."""

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

from contract.manifest import Manifest, StateTensor
from contract.names import FAILED, NO_TOKEN
from deployments.decoder.sampling.philox import uniforms
from export.signatures import explicit_decode, step_signature
from export.signatures.servable import ExportedModel, StepFunction
from export.verification.pool_stepper import NO_STOP, Sampling
from export.verification.stepper import DecodeResult, RowState, Stepper

LENGTHS = (1, 7, 33)


@pytest.fixture(params=["explicit", "lstm_stepper"], ids=["gpt2", "lstm"])
def stepper(request: pytest.FixtureRequest) -> Stepper:
    loaded: Stepper = request.getfixturevalue(request.param)
    return loaded


def ids(seed: int, length: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, length).astype(np.int32)


def prefilled(stepper: Stepper) -> tuple[list[int], list[RowState]]:
    """Returns each prompt's first token and the state after the prompt."""
    results = [stepper.run([ids(i, length)])[0] for i, length in enumerate(LENGTHS)]
    return [int(result.logits.argmax()) for result in results], [result.state for result in results]


def numbers(rows: int, steps: int) -> np.ndarray:
    seeds = np.repeat(np.arange(rows, dtype=np.uint64)[:, None], steps, axis=1)
    return uniforms(seeds, np.broadcast_to(np.arange(steps, dtype=np.uint64), seeds.shape))


def assert_near(decoded: Sequence[DecodeResult], expected: Sequence[DecodeResult]) -> None:
    assert [row.tokens for row in decoded] == [row.tokens for row in expected]
    for one, other in zip(decoded, expected, strict=True):
        for name, value in one.state.items():
            np.testing.assert_allclose(value, other.state[name], atol=1e-5, err_msg=name)


def test_a_greedy_call_chooses_the_librarys_ids(golden_stepper: Stepper, answers: dict[str, Any]) -> None:
    expected = answers["greedy"].tolist()
    state = golden_stepper.run([answers["prompt_7"]])[0].state
    (decoded,) = golden_stepper.decode(expected[:1], [state], [7], [len(expected) - 1])
    assert decoded.tokens == expected[1:]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0, top_k=20, top_p=0.9)])
def test_one_call_is_as_many_calls_of_one_step(stepper: Stepper, sampling: Sampling) -> None:
    steps = 9
    tokens, states = prefilled(stepper)
    random = numbers(len(LENGTHS), steps)
    together = stepper.decode(tokens, states, LENGTHS, [steps] * 3, (), sampling, random)
    singly = [DecodeResult([], state) for state in states]
    for i in range(steps):
        held = [length + i for length in LENGTHS]
        last = [row.tokens[-1] if row.tokens else token for row, token in zip(singly, tokens, strict=True)]
        each = stepper.decode(
            last, [row.state for row in singly], held, [1] * 3, (), sampling, random[:, i : i + 1]
        )
        singly = [
            DecodeResult(row.tokens + new.tokens, new.state) for row, new in zip(singly, each, strict=True)
        ]
    assert_near(together, singly)


def test_rows_with_different_budgets_get_what_each_gets_alone(stepper: Stepper) -> None:
    tokens, states = prefilled(stepper)
    budgets = [3, 12, 1]
    together = stepper.decode(tokens, states, LENGTHS, budgets)
    alone = [stepper.decode([tokens[i]], [states[i]], [LENGTHS[i]], [budgets[i]])[0] for i in range(3)]
    assert [len(row.tokens) for row in together] == budgets
    assert_near(together, alone)


def test_a_row_without_budget_keeps_its_state(stepper: Stepper) -> None:
    tokens, states = prefilled(stepper)
    finished = stepper.decode(tokens, states, LENGTHS, [4, 0, 4])[1]
    assert_near([finished], [DecodeResult([], states[1])])


def test_a_stop_token_is_a_rows_last_and_the_state_does_not_include_it(stepper: Stepper) -> None:
    tokens, states = prefilled(stepper)
    free = stepper.decode(tokens, states, LENGTHS, [12] * 3)
    stop = free[1].tokens[4]
    stopped = stepper.decode(tokens, states, LENGTHS, [12] * 3, [stop])
    ends = [row.tokens.index(stop) + 1 if stop in row.tokens else 12 for row in free]
    assert [row.tokens for row in stopped] == [row.tokens[:end] for row, end in zip(free, ends, strict=True)]
    assert_near(stopped, stepper.decode(tokens, states, LENGTHS, ends))


def test_bfloat16_state_stays_bfloat16(bfloat16_stepper: Stepper) -> None:
    tokens, states = prefilled(bfloat16_stepper)
    for row in bfloat16_stepper.decode(tokens, states, LENGTHS, [5] * 3):
        assert row.state["past_keys"].dtype == ml_dtypes.bfloat16
        assert len(row.tokens) == 5


HISTORY = Manifest(
    "m",
    "keras",
    vocabulary_size=7,
    context_length=32,
    state=(StateTensor("total", "int32", ()), StateTensor("seen", "int32", (2, 0, 3), growth_axis=1)),
    decode_steps=8,
)


def history(tokens: tf.Tensor, lengths: tf.Tensor, total: tf.Tensor, seen: tf.Tensor) -> dict[str, tf.Tensor]:
    """The next token is the sum of all modulo 7; the state has each token six times, along a middle axis."""
    whole = tf.debugging.assert_equal(tf.reduce_sum(seen, axis=[1, 2, 3]), 6 * total)
    with tf.control_dependencies([whole]):
        total += tf.reduce_sum(tf.where(tf.sequence_mask(lengths, tf.shape(tokens)[1]), tokens, 0), axis=1)
    return {
        "logits": tf.one_hot(total % 7, 7),
        "total": total,
        "seen": tf.tile(tokens[:, None, :, None], [1, 2, 1, 3]),
    }


def run(
    tokens: list[int], held: list[int], seen: np.ndarray, budget: list[int], step: StepFunction = history
) -> dict[str, np.ndarray]:
    function = explicit_decode.trace(step_signature.trace(ExportedModel(HISTORY, b"", step)), HISTORY)
    feeds = {
        "tokens": np.array(tokens, np.int32),
        "held": np.array(held, np.int32),
        "budget": np.array(budget, np.int32),
        "stop_tokens": np.full((len(tokens), 1), NO_STOP, np.int32),
        "total": seen[:, 0, :, 0].sum(axis=1, dtype=np.int32),
        "seen": seen.astype(np.int32),
        **Sampling().feeds(np.zeros((len(tokens), max(budget)))),
    }
    return {
        name: value.numpy()
        for name, value in function(**{k: tf.constant(v) for k, v in feeds.items()}).items()
    }


def test_new_entries_lie_along_the_growth_axis_each_rows_after_its_own() -> None:
    """The model itself fails if an entry is misplaced, or if a finished row writes one."""
    seen = np.zeros((2, 2, 3, 3))
    seen[0, :, :1], seen[1, :, :3] = 1, 2
    answer = run([1, 3], [1, 3], seen, [4, 2])
    assert answer["tokens"].tolist() == [[2, 4, 1, 2], [2, 4, NO_STOP, NO_STOP]]
    assert answer["total"].tolist() == [1 + 1 + 2 + 4 + 1, 6 + 3 + 2]
    assert answer["seen"].shape == (2, 2, 4, 3)
    assert answer["seen"][0, 1, :, 2].tolist() == [1, 2, 4, 1]
    assert answer["seen"][1, 0, :, 0].tolist() == [3, 2, 0, 0]


def test_a_row_whose_logits_are_nan_fails_and_is_finished() -> None:
    def step(**inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        answer = history(**inputs)
        return answer | {"logits": answer["logits"] + tf.where(answer["total"] > 5, np.nan, 0.0)[:, None]}

    answer = run([3, 1], [0, 0], np.zeros((2, 2, 0, 3)), [3, 2], step)
    assert answer["tokens"].tolist() == [[3, FAILED, NO_TOKEN], [1, 2, NO_TOKEN]]
