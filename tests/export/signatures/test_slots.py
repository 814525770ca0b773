"""A sequence gets its tokens wherever it lies in the pool, and whatever lies beside it.

With float and with int8 keys and values.
"""

import numpy as np
import pytest

from export.options import FLOAT, INT8
from export.verification.pool_stepper import PoolStepper
from tests.export.residents import BLOCK_SIZE, SLOTS, generate, ids


@pytest.fixture(params=[FLOAT, INT8])
def pool(request: pytest.FixtureRequest) -> PoolStepper:
    """A loaded servable with a newly claimed pool."""
    stepper: PoolStepper = request.getfixturevalue({FLOAT: "loaded", INT8: "int8_pool"}[request.param])
    stepper.claim(SLOTS)
    return stepper


@pytest.mark.parametrize("lengths", [(1, 7, 33, 90), (1, 7, 33, 90, 31, 64)])
def test_rows_that_decode_together_get_what_each_gets_alone(
    pool: PoolStepper, lengths: tuple[int, ...]
) -> None:
    prompts = [ids(i, length) for i, length in enumerate(lengths)]
    together = generate(pool, prompts, 40)
    assert together == [generate(pool, [prompt], 40)[0] for prompt in prompts]


def test_slots_change_places(pool: PoolStepper) -> None:
    prompts = [ids(0, 50), ids(1, 70)]
    expected = generate(pool, prompts, 10)
    first = pool.prefill(prompts, [1, 0])
    pool.move([0, 1], [1, 0], [3, 2])
    swapped = pool.decode(first, [50, 70], [9, 9])
    assert [[a, *b] for a, b in zip(first.tolist(), swapped.tolist(), strict=True)] == expected


@pytest.mark.parametrize(("shared", "count"), [(BLOCK_SIZE + 3, 10), (2 * BLOCK_SIZE, 20)])
def test_the_first_blocks_of_a_slot_are_a_beginning_for_another(
    pool: PoolStepper, shared: int, count: int
) -> None:
    common, prompts = ids(0, shared), [ids(1, 40), ids(2, 7)]
    whole = [np.concatenate([common, prompt]) for prompt in prompts]
    expected = generate(pool, whole, count)
    pool.claim(SLOTS)
    pool.prefill([common], [4])
    pool.move([4, 4], [0, 1], [2, 2])
    first = pool.prefill(prompts, [0, 1], [len(common)] * 2)
    rest = pool.decode(first, list(map(len, whole)), [count - 1] * 2)
    assert [[a, *b] for a, b in zip(first.tolist(), rest.tolist(), strict=True)] == expected


def test_tokens_beyond_a_slots_blocks_are_not_written_to_another_slot(pool: PoolStepper) -> None:
    prompts = [ids(0, 100), ids(1, 20)]
    expected = generate(pool, prompts, 10)
    pool.claim([2, 1, 1, 1, *[0] * (pool.pool.blocks - 4)])
    first = pool.prefill(prompts, [0, 1])
    pool.prefill([ids(2, 3 * BLOCK_SIZE)], [1], [20])
    pool.decode([1, 1], [0, BLOCK_SIZE + 5], [0, 6])
    pool.prefill([prompts[1]], [1])
    rest = pool.decode(first, [100, 20], [9, 9])
    assert [[a, *b] for a, b in zip(first.tolist(), rest.tolist(), strict=True)] == expected
