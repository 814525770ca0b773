"""The experts of a layer, and the router's choice among them."""

import numpy as np
import pytest
import tensorflow as tf

from export.transformer_model import layers
from export.transformer_model.description import Experts
from export.transformer_model.weights import WeightScope

WIDTH, INNER, COUNT, ROWS = 8, 4, 6, 5


def weights(count: int = COUNT, spread: float = 1.0) -> WeightScope:
    """The weights of `count` experts, the first of COUNT; with `spread` 0 the router rates all alike."""
    rng = np.random.default_rng(0)
    router = spread * rng.normal(size=(WIDTH, COUNT))[:, :count]
    inner = rng.normal(size=(COUNT, WIDTH, 2 * INNER))[:count]
    outer = rng.normal(size=(COUNT, INNER, WIDTH))[:count]
    named = {"router": router, "inner": inner, "outer": outer}
    return WeightScope({f"{name}.kernel": tf.constant(value, tf.float32) for name, value in named.items()})


def rows() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(ROWS, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_stay_in_their_row(bad: float) -> None:
    x, kind = rows(), Experts(COUNT, 2, INNER, "silu", renormalized=True)
    good = layers.experts(weights(), kind, tf.constant(x)).numpy()
    x[2, 0] = bad
    got = layers.experts(weights(), kind, tf.constant(x)).numpy()
    assert np.isnan(got[2]).any()
    np.testing.assert_array_equal(np.delete(got, 2, 0), np.delete(good, 2, 0))


@pytest.mark.parametrize(("renormalized", "share"), [(True, 1 / 2), (False, 1 / COUNT)])
def test_of_experts_with_equal_weights_the_first_are_chosen(renormalized: bool, share: float) -> None:
    x = tf.constant(rows())
    got = layers.experts(weights(spread=0), Experts(COUNT, 2, INNER, "silu", renormalized), x)
    first = layers.experts(weights(2, spread=0), Experts(2, 2, INNER, "silu", renormalized=True), x)
    np.testing.assert_allclose(got, first * 2 * share, rtol=1e-5, atol=1e-5)
