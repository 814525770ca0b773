"""Matrices of int8 weights: their values, their products, and a row's bits in any batch."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import tensorflow as tf

from export.transformer_model.quantization import LARGEST, is_quantized, quantize
from export.transformer_model.quantized import QuantizedExperts, QuantizedMatrix, quantized_rows

INPUTS, OUTPUTS, ROWS = 96, 70, 10_000
Function = Callable[[np.ndarray], np.ndarray]


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def matrix(weight: np.ndarray, name: str = "layers.0.inner.kernel") -> QuantizedMatrix:
    integers, ranges = quantize(name, weight)
    return QuantizedMatrix(tf.Variable(integers), tf.Variable(ranges), name == "embedding", tf.float32)


def run(function: Callable[[tf.Tensor], tf.Tensor], dtype: tf.DType = tf.float32, rank: int = 2) -> Function:
    """Traces a function of one tensor: the operation exists in graphs alone."""
    traced = tf.function(function, [tf.TensorSpec([None] * rank, dtype)], autograph=False)
    return lambda x: traced(x).numpy()


@pytest.fixture(scope="module")
def product() -> Function:
    kernel, bias = matrix(random(INPUTS, OUTPUTS)), tf.Variable(random(OUTPUTS, seed=1))
    return run(lambda x: kernel.read().product(x, tf.convert_to_tensor(bias)))


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Rows of very different magnitudes, one of them zero."""
    found = random(ROWS, INPUTS, seed=2) * 10.0 ** np.random.default_rng(3).integers(-3, 20, (ROWS, 1))
    found[17] = 0
    return found.astype(np.float32)


def test_matrices_are_quantized_and_all_else_is_not() -> None:
    assert all(
        map(is_quantized, ["embedding", "head.kernel", "layers.1.qkv.kernel", "input_projection.kernel"])
    )
    assert not any(map(is_quantized, ["positions", "layers.1.qkv.bias", "layers.0.router.kernel", "a.scale"]))


@pytest.mark.parametrize(
    ("name", "inputs"), [("embedding", 1), ("head.kernel", 1), ("layers.0.outer.kernel", 0)]
)
def test_a_weight_is_at_most_half_a_step_from_its_integer(name: str, inputs: int) -> None:
    weight = random(40, 30)
    integers, ranges = quantize(name, weight)
    steps = np.expand_dims(ranges, inputs) / LARGEST
    np.testing.assert_array_equal(ranges, np.abs(weight).max(axis=inputs))
    assert (np.abs(integers * steps - weight) <= 0.5001 * steps).all()
    assert (np.abs(integers).max(axis=inputs) == LARGEST).all()


def test_an_output_of_zeros_stays_zero_and_nan_goes_to_the_range() -> None:
    weight = random(6, 3)
    weight[:, 1], weight[2, 2] = 0, np.nan
    integers, ranges = quantize("layers.0.inner.kernel", weight)
    assert ranges[1] == 0
    assert not integers[:, 1].any()
    assert np.isnan(ranges).tolist() == [False, False, True]


def test_a_product_is_that_of_the_integers(product: Function, rows: np.ndarray) -> None:
    weights, ranges = quantize("layers.0.inner.kernel", random(INPUTS, OUTPUTS))
    bounds = np.abs(rows).max(axis=1, keepdims=True)
    integers = np.rint(rows * (LARGEST / (bounds + np.float32(1e-30))))
    exact = integers.astype(np.int64) @ weights.astype(np.int64)
    wanted = exact * (ranges / LARGEST) * (bounds / LARGEST) + random(OUTPUTS, seed=1)
    np.testing.assert_allclose(product(rows), wanted, rtol=1e-5, atol=1e-5)


def test_a_product_is_near_to_that_of_the_weights() -> None:
    x, weight = random(50, INPUTS, seed=4), random(INPUTS, OUTPUTS)
    given, wanted = run(lambda x: matrix_of(weight).product(x))(x), x @ weight
    assert np.abs(given - wanted).std() < 0.02 * wanted.std()


def matrix_of(weight: np.ndarray) -> QuantizedMatrix:
    integers, ranges = map(tf.constant, quantize("layers.0.inner.kernel", weight))
    return QuantizedMatrix(integers, ranges, outputs_first=False, dtype=tf.float32)


def test_each_of_10_000_rows_gives_the_same_bits_alone_and_in_any_batch(
    product: Function, rows: np.ndarray
) -> None:
    together = product(rows)
    assert len(np.unique(together, axis=0)) > 9_000, "the rows differ"
    alone = np.concatenate([product(row[None]) for row in rows])
    np.testing.assert_array_equal(alone, together)
    rng, begin = np.random.default_rng(5), 0
    while begin < ROWS:
        size = int(rng.choice([2, 3, 8, 16, 17, 31, 32, 33, 64, 100, 257, 1000]))
        order = rng.permutation(len(rows[begin : begin + size]))
        np.testing.assert_array_equal(product(rows[begin:][order]), together[begin:][order])
        begin += size


def test_the_first_batch_does_not_decide_the_bits(rows: np.ndarray) -> None:
    """The packed weights are kept from the first run on."""
    weight, sizes = random(INPUTS, OUTPUTS), (1, 16, 512)
    each = [partial(run, matrix_of(weight).product)() for _ in sizes]
    first = [function(rows[:size]) for function, size in zip(each, sizes, strict=True)]
    later = [function(rows) for function in each]
    for one, size, whole in zip(first, sizes, later, strict=True):
        np.testing.assert_array_equal(one, whole[:size])
        np.testing.assert_array_equal(whole, later[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_stay_in_their_row(product: Function, rows: np.ndarray, bad: float) -> None:
    some = rows[:9].copy()
    good = product(some)
    some[4, 3] = bad
    given = product(some)
    assert not np.isfinite(given[4]).any()
    np.testing.assert_array_equal(np.delete(given, 4, 0), np.delete(good, 4, 0))


def test_the_integers_of_a_row_reach_from_minus_127_to_127() -> None:
    x = np.array([[-3, 1.5, 0.01], [2, -1, 2], [0, 0, 0]], np.float32)
    integers, scales = tf.function(quantized_rows)(x)
    assert tf.bitcast(integers, tf.int8).numpy().tolist() == [[-127, 64, 0], [127, -64, 127], [0, 0, 0]]
    np.testing.assert_allclose(scales[:2, 0], [3 / 127, 2 / 127], rtol=1e-6)


def test_the_rows_of_an_embedding_are_its_rounded_rows() -> None:
    table = random(20, 8)
    embedding = matrix(table, "embedding")
    given = run(lambda ids: embedding.read().rows(ids), tf.int32, rank=1)(np.array([3, 3, 19]))
    integers, ranges = quantize("embedding", table)
    np.testing.assert_allclose(given, (integers * ranges[:, None] / LARGEST)[[3, 3, 19]], rtol=1e-6)


def test_each_expert_has_its_own_product() -> None:
    weights = random(3, INPUTS, OUTPUTS)
    experts = QuantizedExperts(tuple(matrix_of(weight) for weight in weights))
    shared, own = random(1, 5, INPUTS, seed=6), random(3, 5, INPUTS, seed=7)
    for x in (shared, own):
        spec = tf.TensorSpec([len(x), None, INPUTS], tf.float32)
        given = tf.function(experts.products, [spec], autograph=False)(x).numpy()
        wanted = np.stack([run(matrix_of(w).product)(x[i % len(x)]) for i, w in enumerate(weights)])
        np.testing.assert_array_equal(given, wanted)
