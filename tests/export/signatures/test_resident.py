"""GPT-2 over a pool gives the tokens of the transformers library, however sessions share calls and slots."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from contract.names import CONTINUE, NO_TOKEN
from contract.tensors import Ids
from deployments.decoder.sampling.filters import SamplingBatch, sample
from deployments.decoder.sampling.philox import uniforms
from deployments.messages import SamplingParams
from export.verification.pool_stepper import GREEDY, NO_STOP, PoolStepper, Sampling
from export.verification.stepper import Stepper
from tests.export import golden_files, residents, samples
from tests.export.residents import BLOCK_SIZE, SLOTS, allocated, generate, ids

LENGTHS = (1, 7, 33, 130)


@pytest.fixture
def pool(loaded: PoolStepper) -> PoolStepper:
    """The loaded servable with a newly claimed pool."""
    loaded.claim(SLOTS)
    return loaded


@pytest.mark.parametrize("steps", [1, 5, 63])
def test_greedy_decoding_chooses_the_librarys_64_ids(
    golden_pool: PoolStepper, answers: dict[str, Any], steps: int
) -> None:
    golden_pool.claim(1)
    prompt, expected = answers["prompt_7"], answers["greedy"].tolist()
    chosen = golden_pool.prefill([prompt], [0]).tolist()
    while len(chosen) < len(expected):
        budget = min(steps, len(expected) - len(chosen))
        chosen += golden_pool.decode(chosen[-1:], [len(prompt) + len(chosen) - 1], [budget])[0].tolist()
    assert chosen == expected


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("piece", [1, 20, BLOCK_SIZE, 130])
def test_prompts_in_pieces_give_the_librarys_token(
    golden_pool: PoolStepper, answers: dict[str, Any], length: int, piece: int
) -> None:
    golden_pool.claim(3)
    prompt = answers[f"prompt_{length}"]
    for start in range(0, length, piece):
        last = golden_pool.prefill([prompt[start : start + piece]], [2], [start])
    assert last == answers[f"logits_{length}"][-1].argmax()


def test_ragged_prompts_in_any_slots_give_what_each_gives_alone(
    golden_pool: PoolStepper, answers: dict[str, Any]
) -> None:
    golden_pool.claim(SLOTS)
    prompts = [answers[f"prompt_{length}"] for length in LENGTHS]
    middles = [len(prompt) // 2 for prompt in prompts]
    pasts = [(slot, prompt[:m]) for slot, prompt, m in zip((4, 1, 3, 0), prompts, middles, strict=True) if m]
    golden_pool.prefill([past for _, past in pasts], [slot for slot, _ in pasts])
    rests = [prompt[middle:] for prompt, middle in zip(prompts, middles, strict=True)]
    chosen = golden_pool.prefill(rests, (4, 1, 3, 0), middles)
    assert chosen.tolist() == [answers[f"logits_{length}"][-1].argmax() for length in LENGTHS]


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(0.8, top_k=20, logprobs=2)], ids=["greedy", "sampled"])
def test_one_call_decodes_some_slots_and_prefills_others(pool: PoolStepper, sampling: Sampling) -> None:
    prompts, numbers = [ids(i, length) for i, length in enumerate((40, 9, 90, 130))], np.full(4, 0.37)

    def alone(prompt: Ids, steps: int) -> list[int]:
        first = pool.prefill([prompt], [0], None, sampling, numbers[:1])
        rest = pool.decode(first, [len(prompt)], [steps], (), sampling, np.full((1, steps), 0.37))
        return [int(first[0]), *rest[0].tolist()]

    expected = [alone(prompt, 4) for prompt in prompts]
    first = pool.prefill([prompts[0], prompts[2]], [0, 2], None, sampling, numbers[:2]).tolist()
    # Slots 0 and 2 decode, while two prompts come in, one of them in two pieces.
    last, held = np.array([first[0], NO_TOKEN, first[1]]), np.array([40, 0, 90])
    pieces = [prompts[1][:4], prompts[3]]
    one = pool.prefill_outputs(pieces, [1, 4], [0, 0], sampling, np.full((5, 1), 0.37), last, held)["tokens"]
    last, held = np.array([one[0, 0], NO_TOKEN, one[2, 0]]), np.array([41, 0, 91])
    pieces = [prompts[1][4:]]
    two = pool.prefill_outputs(pieces, [1], [4], sampling, np.full((4, 1), 0.37), last, held)["tokens"]
    assert one[1, 0] == two[1, 0] == NO_TOKEN
    pool.move([4], [3])
    rest = pool.decode(
        [two[0, 0], two[3, 0], two[2, 0], one[4, 0]],
        [42, 9, 92, 130],
        [2, 4, 2, 4],
        (),
        sampling,
        np.full((4, 4), 0.37),
    ).tolist()
    assert [first[0], one[0, 0], two[0, 0], *rest[0][:2]] == expected[0]
    assert [two[3, 0], *rest[1]] == expected[1]
    assert [first[1], one[2, 0], two[2, 0], *rest[2][:2]] == expected[2]
    assert [one[4, 0], *rest[3]] == expected[3]


def test_more_slots_than_there_are_cannot_be_decoded_beside_prompts(pool: PoolStepper) -> None:
    many = [0] * (SLOTS + 1)
    numbers = np.zeros((SLOTS + 2, 1))
    with pytest.raises(tf.errors.InvalidArgumentError, match="no such slot"):
        pool.prefill_outputs([ids(0, 4)], [0], [0], GREEDY, numbers, many, many)


def test_a_slot_forgets_the_longer_sequence_it_held(pool: PoolStepper) -> None:
    before = generate(pool, [ids(1, 5)], 50)
    generate(pool, [ids(2, 120)], 30)
    assert generate(pool, [ids(1, 5)], 50) == before


def test_a_full_context_can_be_used(pool: PoolStepper) -> None:
    length = pool.manifest.context_length
    assert pool.pool.positions >= length
    chosen = generate(pool, [ids(3, length - 10)], 10)[0]
    assert generate(pool, [np.array([*ids(3, length - 10), *chosen[:-1]], np.int32)], 2)[0][0] == chosen[-1]


def test_rows_without_budget_get_nothing_and_keep_their_slots(pool: PoolStepper) -> None:
    prompts = [ids(i, 20) for i in range(3)]
    expected = generate(pool, prompts, 12)
    first = pool.prefill(prompts, range(3))
    # The token and the position of a row without budget do not matter.
    partial = pool.decode([first[0], 0, first[2]], [20, 3, 20], [5, 0, 11])
    assert partial[1].tolist() == [NO_STOP] * 11
    assert [first[0], *partial[0][:5]] == expected[0][:6]
    assert partial[0][5:].tolist() == [NO_STOP] * 6
    assert [first[2], *partial[2]] == expected[2]
    rest = pool.decode([partial[0][4], first[1], 0], [25, 20, 0], [6, 11, 0])
    assert rest[0][:6].tolist() == expected[0][6:]
    assert [first[1], *rest[1]] == expected[1]


def test_a_stop_token_is_a_rows_last(pool: PoolStepper) -> None:
    prompts = [ids(i, 9) for i in range(4)]
    free = generate(pool, prompts, 21)
    stop = free[1][4]
    first = pool.prefill(prompts, range(4))
    stopped = pool.decode(first, [9] * 4, [20] * 4, [stop, 269])
    for row, tokens in zip(stopped.tolist(), free, strict=True):
        ends = [i for i, token in enumerate(tokens[1:]) if token in (stop, 269)]
        end = ends[0] + 1 if ends else 20
        assert row == tokens[1 : end + 1] + [NO_STOP] * (20 - end)
    assert NO_STOP in stopped[1]


def test_calls_go_on_where_the_last_one_ended_without_its_token(pool: PoolStepper) -> None:
    prompts = [ids(i, length) for i, length in enumerate((1, 7, 33, 90))]
    expected = np.array(generate(pool, prompts, 16))
    first = pool.prefill(prompts, range(4))
    positions = np.array([len(prompt) for prompt in prompts])
    chosen = [first[:, None], pool.decode(first, positions, [5] * 4)]
    for done in (5, 10):
        chosen.append(pool.decode([CONTINUE] * 4, positions + done, [5] * 4))
    assert np.concatenate(chosen, axis=1).tolist() == expected.tolist()


def test_calls_at_the_same_time_run_in_turn(pool: PoolStepper) -> None:
    prompt = ids(3, 20)
    expected = generate(pool, [prompt], 41)[0]
    pool.claim(SLOTS)
    first = pool.prefill([prompt], [0])

    def follow() -> list[int]:
        """Sends the later call again and again; it is refused until the earlier one has begun."""
        while True:
            with contextlib.suppress(tf.errors.InvalidArgumentError):
                return pool.decode([CONTINUE], [40], [20])[0].tolist()

    with ThreadPoolExecutor(2) as threads:
        following = threads.submit(follow)
        assert pool.decode(first, [20], [20])[0].tolist() == expected[1:21]
        assert following.result() == expected[21:]


def test_a_call_that_comes_before_its_turn_is_refused_and_changes_nothing(pool: PoolStepper) -> None:
    prompt = ids(3, 20)
    expected = generate(pool, [prompt], 20)[0]
    pool.claim(SLOTS)
    first = pool.prefill([prompt], [0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="out of turn"):
        pool.decode([CONTINUE], [25], [5])
    chosen = pool.decode(first, [20], [5])[0].tolist()
    with pytest.raises(tf.errors.InvalidArgumentError, match="out of turn"):
        pool.decode([CONTINUE], [30], [5])
    chosen += pool.decode([CONTINUE], [25], [14])[0].tolist()
    assert [int(first[0]), *chosen] == expected


def test_a_row_that_was_stopped_is_left_out_of_the_next_call(pool: PoolStepper) -> None:
    prompts = [ids(3, 20), ids(4, 9)]
    both = generate(pool, prompts, 20)
    stop = next(token for token in both[0][3:8] if token not in both[1])
    first = pool.prefill(prompts, range(2))
    pool.decode(first, [20, 9], [8, 8], [stop])
    following = pool.decode([CONTINUE] * 2, [28, 17], [5, 5], [stop])
    assert following.tolist() == [[NO_STOP] * 5, both[1][9:14]]


def test_nothing_is_written_beyond_a_slots_end(pool: PoolStepper) -> None:
    prompts = [ids(i, 60) for i in range(SLOTS)]
    expected = generate(pool, prompts, 12)
    first = pool.prefill(prompts, range(SLOTS))
    pool.decode([1, 1, 1], [0, 0, pool.pool.positions - 2], [0, 0, 8])
    pool.prefill([ids(7, 8)], [2], [pool.pool.positions - 2])
    rest = pool.decode(first, [60] * SLOTS, [11] * SLOTS)
    for slot in (0, 1, 3, 4, 5):
        assert [first[slot], *rest[slot]] == expected[slot]


def test_padding_is_not_written_over_another_rows_prompt(pool: PoolStepper) -> None:
    prompts = [ids(0, 3), ids(1, BLOCK_SIZE), ids(2, 2)]
    assert generate(pool, prompts, 20) == [generate(pool, [prompt], 20)[0] for prompt in prompts]


def test_moved_slots_go_on_where_they_were(pool: PoolStepper) -> None:
    prompts = [ids(0, 50), ids(1, 70)]
    expected = generate(pool, prompts, 10)
    pool.prefill([ids(5, 130), ids(6, 130)], [0, 1])
    first = pool.prefill(prompts, [3, 5])
    pool.move([5, 3], [1, 0])
    moved = pool.decode(first, [50, 70], [9, 9])
    assert [[a, *b] for a, b in zip(first.tolist(), moved.tolist(), strict=True)] == expected


@pytest.mark.parametrize("slots", [(4, 3, 2, 1), (4, 4, 3, 1), (6, 4, 4, 4)])
def test_later_blocks_may_have_fewer_slots(pool: PoolStepper, slots: tuple[int, ...]) -> None:
    prompts = [ids(i, length) for i, length in enumerate((100, 60, 40, 7))]
    expected = generate(pool, prompts, 20)
    pool.claim([*slots, *[1] * (pool.pool.blocks - len(slots))])
    assert generate(pool, prompts, 20) == expected


def test_prefill_samples_after_each_of_a_rows_last_tokens(pool: PoolStepper) -> None:
    prompt = ids(0, 40)
    expected = generate(pool, [prompt, prompt], 6)
    first = pool.prefill([prompt, prompt], [0, 1])
    drafts = [np.array([first[0], *expected[0][1:4]], np.int32), np.array([first[1], 0], np.int32)]
    answer = pool.prefill_outputs(drafts, [0, 1], [40, 40], GREEDY, np.zeros((2, 4)))["tokens"]
    assert answer[0].tolist() == expected[0][1:5]
    assert answer[1, 0] == expected[1][1], "the token after its first, whatever the draft after it"
    rest = pool.decode([answer[0, 3], answer[1, 0]], [44, 41], [1, 4])
    assert rest[0, 0] == expected[0][5]
    assert rest[1].tolist() == expected[1][2:6]


def test_a_draft_is_checked_with_the_penalties_of_the_tokens_before_each(pool: PoolStepper) -> None:
    prompt, count = ids(0, 40), 5
    listed = {int(token): (0, 0.0) for token in np.unique(prompt)}
    sampling = Sampling(1.0, edits=listed, frequency=2.0, repetition=1.5, logprobs=2)
    numbers = np.random.default_rng(0).random((2, count))
    first = pool.prefill([prompt, prompt], [0, 1])
    decoded = pool.decode(first, [40, 40], [count, 2], (), sampling, numbers)
    drafts = [
        np.array([first[0], *decoded[0][:-1]], np.int32),
        np.array([first[1], decoded[1][0]], np.int32),
    ]
    answer = pool.prefill_outputs(drafts, [0, 1], [40, 40], sampling, numbers)["tokens"]
    assert answer[0].tolist() == decoded[0].tolist()
    assert answer[1].tolist() == decoded[1][:2].tolist() + [NO_STOP] * 3


@pytest.mark.parametrize(
    "sampling",
    [Sampling(1.0), Sampling(0.5, top_k=20), Sampling(1.5, top_p=0.75), Sampling(1.0, 100, 0.5, 0.125)],
)
def test_the_same_numbers_give_the_explicit_layouts_tokens(
    sampling: Sampling, pool: PoolStepper, explicit: Stepper
) -> None:
    params = SamplingParams(sampling.temperature, sampling.top_k, sampling.top_p, sampling.min_p, seed=2048)
    prompts, count = [ids(0, 6), ids(1, 40)], 30
    places = np.array([np.arange(len(p), len(p) + count) for p in prompts], np.uint64)
    numbers = uniforms(np.full_like(places, params.seed), places)
    expected = [_explicit(explicit, prompt, params, count) for prompt in prompts]
    assert generate(pool, prompts, count, sampling, numbers) == expected


def test_a_stale_lease_is_refused_and_leaves_the_pool_as_it_was(pool: PoolStepper) -> None:
    expected = generate(pool, [ids(0, 40)], 10)
    first = pool.prefill([ids(0, 40)], [0])
    pool.epoch -= 1
    for call in (
        lambda: pool.prefill([ids(1, 40)], [0]),
        lambda: pool.decode([1], [5], [8]),
        lambda: pool.move([1], [0]),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="stale lease"):
            call()
    pool.epoch += 1
    assert [first[0], *pool.decode(first, [40], [9])[0]] == expected[0]


def test_without_a_claim_there_is_no_pool(pools: Path) -> None:
    fresh = PoolStepper(pools)
    for call in (
        lambda: fresh.prefill([ids(1, 4)], [0]),
        lambda: fresh.decode([1], [5], [8]),
        lambda: fresh.move([1], [0]),
    ):
        with pytest.raises(tf.errors.FailedPreconditionError, match="Could not find variable"):
            call()


def test_another_claim_changes_the_size_and_clears_the_pool(pool: PoolStepper) -> None:
    expected = generate(pool, [ids(0, 40)], 5)
    pool.claim(1)
    assert generate(pool, [ids(0, 40)], 5) == expected
    with pytest.raises(tf.errors.InvalidArgumentError, match="no such slot"):
        pool.prefill([ids(0, 4)], [1])
    pool.claim(3)
    assert generate(pool, [ids(0, 40)] * 3, 5) == expected * 3


@pytest.mark.parametrize(
    ("slots", "message"),
    [
        ([0, 0], "no slots"),
        ([-3, -3], "no slots"),
        ([2, 1, -1], "must not be negative"),
        ([2, 3], "later blocks must not have more slots"),
    ],
)
def test_a_pool_of_impossible_size_is_refused(slots: list[int], message: str, pool: PoolStepper) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        pool.claim([*slots, *[slots[-1]] * (pool.pool.blocks - len(slots))])


def test_a_pool_has_slots_for_each_block(pool: PoolStepper) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="for each block"):
        pool.claim([2])


@pytest.mark.parametrize("slot", [-1, SLOTS, 10**6])
def test_slots_that_are_not_in_the_pool_are_refused(slot: int, pool: PoolStepper) -> None:
    for call in (
        lambda: pool.prefill([ids(0, 4)], [slot]),
        lambda: pool.move([slot], [0]),
        lambda: pool.move([0], [slot]),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match="no such slot"):
            call()
    with pytest.raises(tf.errors.InvalidArgumentError, match="no such slot"):
        pool.decode([0] * (SLOTS + 1), [1] * (SLOTS + 1), [1] * (SLOTS + 1))


def test_a_decode_step_takes_no_more_memory_in_a_larger_pool(loaded: PoolStepper) -> None:
    small, large = (allocated(loaded, slots) for slots in (2, 200))
    assert small & large, "no call in the larger pool takes what one in the smaller does"
    assert max(small | large) < loaded.pool.bytes_per_block * loaded.pool.blocks * 200


def test_the_version_directory_does_not_hold_the_pool(pools: Path) -> None:
    size = sum(path.stat().st_size for path in pools.rglob("*") if path.is_file())
    weights = sum(w.nbytes for w in golden_files.read(samples.GOLDEN, "small").weights.values())
    assert size < weights + 2**20


def test_the_manifest_describes_the_pool(pool: PoolStepper) -> None:
    manifest = pool.manifest
    assert (manifest.state_layout, manifest.state) == ("resident", ())
    # Keys and values in 2 layers of 4 heads of 8 float32.
    assert pool.pool.bytes_per_block == 2 * 2 * BLOCK_SIZE * 4 * 8 * 4
    assert pool.pool.block_size == BLOCK_SIZE


def test_bfloat16_keeps_half_of_the_bytes_and_mostly_agrees(
    publish: Any, pool: PoolStepper, tmp_path: Path
) -> None:
    half = PoolStepper(publish(residents.golden(tmp_path / "half", "small", "bfloat16")))
    half.claim(4)
    assert 2 * half.pool.bytes_per_block == pool.pool.bytes_per_block
    prompts = [ids(i, 30) for i in range(4)]
    same = half.prefill(prompts, range(4)) == pool.prefill(prompts, range(4))
    assert same.mean() >= 0.5


def _explicit(stepper: Stepper, prompt: np.ndarray, params: SamplingParams, count: int) -> list[int]:
    result, chosen = stepper.run([prompt])[0], []
    for i in range(count):
        batch = SamplingBatch.of([params], [len(prompt) + i])
        chosen.append(int(sample(result.logits[None], batch)[0]))
        result = stepper.run([np.array(chosen[-1:], np.int32)], [result.state])[0]
    return chosen
