import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deployments.decoder.sampling.filters import SamplingBatch, sample
from deployments.decoder.sampling.philox import philox4x32, uniforms
from deployments.messages import SamplingParams

MANY = 20_000


def words(*values: int) -> tuple:
    return tuple(np.array([value], np.uint64) for value in values)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(counter, key, expected):
    assert tuple(int(w[0]) for w in philox4x32(words(*counter), words(*key))) == expected


def test_random_numbers_are_uniform_over_seeds_and_positions():
    numbers = uniforms(np.arange(MANY, dtype=np.uint64), np.full(MANY, 3, np.uint64))
    more = uniforms(np.full(MANY, 3, np.uint64), np.arange(MANY, dtype=np.uint64))
    for drawn in (numbers, more):
        counts, _ = np.histogram(drawn, bins=20, range=(0, 1))
        assert (abs(counts - MANY / 20) < 6 * np.sqrt(MANY / 20)).all()
    assert not np.array_equal(numbers, more)


def draw(logits, params: SamplingParams, count: int = MANY) -> np.ndarray:
    """How often each token is drawn over `count` positions, as a fraction."""
    batch = SamplingBatch.of([params] * count, range(count))
    ids = sample(np.tile(np.array(logits, np.float32), (count, 1)), batch)
    return np.bincount(ids, minlength=len(logits)) / count


def softmax(logits) -> np.ndarray:
    weights = np.exp(np.array(logits, np.float64) - np.max(logits))
    return weights / weights.sum()


LOGITS = [1.0, 3.0, 2.0, -1.0, 2.5]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (SamplingParams(temperature=0), [0, 1, 0, 0, 0]),
        (SamplingParams(temperature=1e-30), [0, 1, 0, 0, 0]),
        (SamplingParams(), softmax(LOGITS)),
        (SamplingParams(temperature=0.5), softmax([2.0, 6.0, 4.0, -2.0, 5.0])),
        (SamplingParams(top_k=1), [0, 1, 0, 0, 0]),
        (SamplingParams(top_k=3), softmax([-np.inf, 3.0, 2.0, -np.inf, 2.5])),
        (SamplingParams(top_k=99), softmax(LOGITS)),
        # Probabilities, largest first: 0.463, 0.281, 0.170, 0.063, 0.008.
        (SamplingParams(top_p=0.4), [0, 1, 0, 0, 0]),
        (SamplingParams(top_p=0.5), softmax([-np.inf, 3.0, -np.inf, -np.inf, 2.5])),
        (SamplingParams(top_p=0.9), softmax([-np.inf, 3.0, 2.0, -np.inf, 2.5])),
        # exp(-1) = 0.37 of the likeliest is left in, exp(-2) = 0.14 is not.
        (SamplingParams(min_p=0.3), softmax([-np.inf, 3.0, 2.0, -np.inf, 2.5])),
        # top_p is asked of what top_k left: 0.62 of the two.
        (SamplingParams(top_k=2, top_p=0.6), [0, 1, 0, 0, 0]),
    ],
)
def test_tokens_are_drawn_as_often_as_their_probability_says(params, expected):
    assert np.allclose(draw(LOGITS, params), expected, atol=0.02)


def test_equals_at_the_threshold_are_all_kept():
    assert (draw([1.0, 1.0, 1.0, 0.0], SamplingParams(top_k=2))[:3] > 0.3).all()


sampling_params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.0, 0.1, 0.7, 1.0, 2.0]),
    top_k=st.integers(0, 12),
    top_p=st.floats(0.01, 1.0),
    min_p=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**64 - 1),
)


@given(
    rows=st.lists(st.tuples(sampling_params, st.integers(0, 10_000)), min_size=1, max_size=8),
    data=st.data(),
)
def test_a_row_gets_the_same_token_alone_and_in_any_batch(rows, data):
    logits = data.draw(
        hnp.arrays(np.float32, (len(rows), 10), elements=st.floats(-30, 30, width=32, allow_subnormal=False))
    )
    params, positions = zip(*rows, strict=True)
    together = sample(logits, SamplingBatch.of(params, positions))
    alone = [
        int(sample(logits[i : i + 1], SamplingBatch.of(params[i : i + 1], positions[i : i + 1]))[0])
        for i in range(len(rows))
    ]
    assert together.tolist() == alone


def test_top_p_looks_beyond_the_sorted_head_where_the_mass_is_spread_out():
    flat = np.zeros(4000, np.float32)
    flat[0] = 0.1
    seen = draw(flat, SamplingParams(top_p=0.99), count=2000)
    assert (seen > 0).sum() > 1000
