"""A pool of int8: no entry depends on another row or slot, so a sequence gets its tokens wherever it lies."""

from pathlib import Path

import numpy as np
import pytest

from export.options import INT8
from export.verification.pool_stepper import PoolStepper
from tests.export import residents
from tests.export.conftest import Publish
from tests.export.residents import BLOCK_SIZE, SLOTS, allocated, generate, ids

HEAD_DIM, HEADS, LAYERS = 8, 4, 2


@pytest.fixture
def pool(int8_pool: PoolStepper) -> PoolStepper:
    int8_pool.claim(SLOTS)
    return int8_pool


def test_an_entry_takes_a_byte_for_each_number_and_four_for_its_scale(pool: PoolStepper) -> None:
    assert pool.pool.bytes_per_block == LAYERS * 2 * BLOCK_SIZE * HEADS * (HEAD_DIM + 4)


@pytest.mark.parametrize("piece", [1, 20, BLOCK_SIZE])
def test_a_prompt_in_pieces_gives_what_it_gives_at_once(pool: PoolStepper, piece: int) -> None:
    prompt = ids(0, 90)
    expected = generate(pool, [prompt], 20)[0]
    for start in range(0, len(prompt), piece):
        first = pool.prefill([prompt[start : start + piece]], [0], [start])
    assert [*first, *pool.decode(first, [90], [19])[0]] == expected


@pytest.mark.parametrize("done", [1, 13, 30])
def test_a_preempted_sequence_goes_on_as_if_it_had_stayed(pool: PoolStepper, done: int) -> None:
    prompt = ids(5, 40)
    expected = generate(pool, [prompt], 40)[0]
    pool.claim(SLOTS)
    pool.prefill([ids(6, 120)], [0])
    replayed = np.array([*prompt, *expected[:done]], np.int32)
    first = pool.prefill([replayed], [0])
    assert [*first, *pool.decode(first, [len(replayed)], [39 - done])[0]] == expected[done:]


def test_a_sequence_that_is_rewound_decodes_the_same_again(pool: PoolStepper) -> None:
    prompt = ids(7, 40)
    expected = generate(pool, [prompt], 30)[0]
    pool.decode([9], [55], [10])
    assert pool.decode(expected[9:10], [49], [20])[0].tolist() == expected[10:]


def test_a_decode_step_takes_no_more_memory_in_a_larger_pool(int8_pool: PoolStepper) -> None:
    small, large = (allocated(int8_pool, slots) for slots in (2, 200))
    assert small & large, "no call in the larger pool takes what one in the smaller does"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_most_tokens_are_those_of_float_keys_and_values(
    dtype: str, int8_pool: PoolStepper, loaded: PoolStepper, publish: Publish, tmp_path: Path
) -> None:
    model = residents.golden(tmp_path / "small", "small", dtype, keys_values=INT8)
    stepper = int8_pool if dtype == "float32" else PoolStepper(publish(model))
    prompts = [ids(i, 30) for i in range(SLOTS)]
    chosen = []
    for each in (stepper, loaded):
        each.claim(SLOTS)
        chosen.append(each.prefill(prompts, range(SLOTS)))
    assert (chosen[0] == chosen[1]).mean() >= 0.8
