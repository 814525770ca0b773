"""The filters in the graph sample the tokens that the decode loop's own sampler samples."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deployments.decoder.sampling.filters import SamplingBatch
from deployments.decoder.sampling.filters import sample as expected_tokens
from deployments.decoder.sampling.philox import uniforms
from deployments.messages import SamplingParams
from export.sampling import filters
from export.sampling.filters import FilterParameters, draw, sample

FLOATS = tf.TensorSpec([None], tf.float32)
TINY = 2 * np.finfo(np.float32).tiny


@tf.function(
    autograph=False,
    input_signature=[
        tf.TensorSpec([None, None], tf.float32),
        FilterParameters(FLOATS, tf.TensorSpec([None], tf.int32), FLOATS, FLOATS),
        tf.TensorSpec([None], tf.float64),
    ],
)
def traced(logits: tf.Tensor, parameters: FilterParameters, numbers: tf.Tensor) -> tf.Tensor:
    return sample(logits, parameters, numbers)


def tokens(logits: np.ndarray, batch: SamplingBatch) -> list[int]:
    parameters = FilterParameters(
        tf.constant(batch.temperature),
        tf.constant(batch.top_k, tf.int32),
        tf.constant(batch.top_p, tf.float32),
        tf.constant(batch.min_p),
    )
    numbers = tf.constant(uniforms(batch.seed, batch.position))
    return traced(tf.constant(logits), parameters, numbers).numpy().tolist()  # type: ignore[no-any-return]


def assert_same(logits: np.ndarray, params: list[SamplingParams]) -> None:
    batch = SamplingBatch.of(params, range(len(params)))
    assert tokens(logits, batch) == expected_tokens(logits, batch).tolist()


def exact(value: float) -> float:
    """Rounds to float32, as the graph's inputs are."""
    return float(np.float32(value))


def temperatures() -> st.SearchStrategy[float]:
    return st.one_of(st.just(0.0), st.floats(0.25, 2, width=32))


params = st.builds(
    SamplingParams,
    temperature=temperatures(),
    top_k=st.one_of(st.just(0), st.integers(1, 60)),
    top_p=st.one_of(st.just(1.0), st.floats(0.0625, 1, width=32)),
    min_p=st.one_of(st.just(0.0), st.floats(0, 1, width=32, allow_subnormal=False)),
    seed=st.integers(0, 2**64 - 1),
)
logits = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 50)),
    elements=st.floats(-20, 20, width=32, allow_subnormal=False),
)


@settings(max_examples=150)
@given(logits, st.data())
def test_any_parameters_give_the_actors_tokens(values: np.ndarray, data: st.DataObject) -> None:
    rows = data.draw(st.lists(params, min_size=len(values), max_size=len(values)))
    # A threshold that lies within float32's last digits of a weight may fall on either side of it.
    assume(all(_clear_of_thresholds(row, param) for row, param in zip(values, rows, strict=True)))
    assert_same(values, rows)


@pytest.mark.parametrize("vocabulary", [257, 3000])
@pytest.mark.parametrize(
    "given_params",
    [
        SamplingParams(temperature=0),
        SamplingParams(),
        SamplingParams(temperature=0.5, top_k=40),
        SamplingParams(top_k=700),
        SamplingParams(top_p=0.875),
        SamplingParams(temperature=0.5, top_k=50, top_p=0.75, min_p=exact(0.05)),
        SamplingParams(min_p=exact(0.2)),
        SamplingParams(top_k=10**6),
    ],
)
def test_wide_vocabularies_give_the_actors_tokens(vocabulary: int, given_params: SamplingParams) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 3, (64, vocabulary)).astype(np.float32)
    assert_same(values, [given_params] * 64)


def test_a_mass_beyond_the_head_is_sorted_whole() -> None:
    flat = np.zeros((2, 4 * filters.HEAD), np.float32) + np.arange(4 * filters.HEAD, dtype=np.float32) / 1e4
    assert_same(flat, [SamplingParams(top_p=0.875, seed=5), SamplingParams(top_p=0.03125, seed=6)])


def test_rows_of_a_batch_do_not_change_one_another() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 3, (4, 600)).astype(np.float32)
    mixed = [
        SamplingParams(temperature=0),
        SamplingParams(top_p=0.5, seed=1),
        SamplingParams(top_k=5, seed=2),
        SamplingParams(min_p=0.5, seed=3),
    ]
    assert_same(values, mixed)


def test_the_first_of_equals_is_greedys_choice() -> None:
    values = np.zeros((3, 1000), np.float32)
    values[1, [17, 900]] = 1
    values[2, 999] = 1
    assert tokens(values, SamplingBatch.of([SamplingParams(temperature=0)] * 3, range(3))) == [0, 17, 999]


@pytest.mark.parametrize("number", [0.0, 0.25, 1 - 2**-32, np.nextafter(1, 0)])
def test_only_tokens_with_weight_are_drawn(number: float) -> None:
    weights = np.zeros((1, 3 * filters.CHUNK), np.float32)
    weights[0, [3, 300, 650]] = [0.5, 1, 0.25]
    expected = int(np.searchsorted(np.cumsum(weights[0], dtype=np.float64), number * 1.75, "right"))
    assert draw(tf.constant(weights), tf.constant([number], tf.float64)).numpy().tolist() == [expected]


def _clear_of_thresholds(row: np.ndarray, param: SamplingParams) -> bool:
    if param.temperature == 0:
        return True
    weights = np.exp((row - row.max()) / np.float32(param.temperature))
    near_min_p = np.isclose(weights, np.float32(param.min_p), rtol=1e-6, atol=0) & (weights != 1)
    return not near_min_p.any() and not ((weights > 0) & (weights < TINY)).any()
