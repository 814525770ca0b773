"""The next token of every row, in the graph: from its logits and one random number that is given.

Filters apply in this order, each to what the former left: temperature, top_k, top_p, min_p. All are
thresholds: tokens as likely as the last one kept are kept too. The token is where the cumulative probability,
in order of token id, passes the random number. The decode loop's own sampler gives the same tokens.
Each part costs only where some row asks for it. Knows no model.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from contract.names import FAILED

HEAD = 512
"""How many of the likeliest tokens are sorted first; they nearly always hold the mass that top_p asks for."""
CHUNK = 256
"""How many tokens lie between two entries of the coarse cumulative sum."""


class Parameters(NamedTuple):
    """Of each row, as the signatures' inputs: (rows,)."""

    temperature: tf.Tensor
    top_k: tf.Tensor
    top_p: tf.Tensor
    min_p: tf.Tensor


def sample(logits: tf.Tensor, parameters: Parameters, uniforms: tf.Tensor) -> tf.Tensor:
    """Token ids int32 (rows,) for `logits` (rows, vocabulary) and `uniforms` float64 (rows,).

    FAILED for a row in which one is not a number, or none is above -inf.
    """
    highest = tf.reduce_max(logits, axis=1)
    greedy = tf.argmax(logits, axis=1, output_type=tf.int32)
    random = parameters.temperature > 0

    def drawn() -> tf.Tensor:
        ids = draw(_weights(_whole_chunks(logits), highest, parameters), uniforms)
        return tf.where(random, ids, greedy)

    ids = tf.cond(tf.reduce_any(random), drawn, lambda: greedy)
    return tf.where(tf.math.is_finite(highest), ids, FAILED)


def _weights(logits: tf.Tensor, highest: tf.Tensor, parameters: Parameters) -> tf.Tensor:
    """Unnormalised probabilities (rows, width): the likeliest has 1, what is filtered out has 0."""
    temperature = parameters.temperature
    divisor = tf.where(temperature > 0, temperature, 1.0)[:, None]
    # The maximum goes before the division: a temperature near 0 then underflows to greedy, not to NaN.
    weights = tf.exp((logits - highest[:, None]) / divisor)
    weights = _apply_top_k(weights, tf.where(temperature > 0, parameters.top_k, 0))
    weights = _apply_top_p(weights, tf.where(temperature > 0, parameters.top_p, 1.0))
    return _apply_min_p(weights, parameters.min_p)


def _apply_top_k(weights: tf.Tensor, top_k: tf.Tensor) -> tf.Tensor:
    limited = (top_k > 0) & (top_k < tf.shape(weights)[1])
    k = tf.where(limited, top_k, 1)

    def filtered() -> tf.Tensor:
        largest = tf.math.top_k(weights, tf.reduce_max(k)).values
        least = tf.gather(largest, k - 1, batch_dims=1)
        return _at_least(weights, tf.where(limited, least, 0.0))

    return tf.cond(tf.reduce_any(limited), filtered, lambda: weights)


def _apply_top_p(weights: tf.Tensor, top_p: tf.Tensor) -> tf.Tensor:
    limited = top_p < 1

    def filtered() -> tf.Tensor:
        mass = tf.reduce_sum(tf.cast(weights, tf.float64), axis=1)
        wanted = tf.where(limited, tf.cast(top_p, tf.float64) * mass, 0)
        return _at_least(weights, tf.where(limited, _least_kept(weights, wanted), 0.0))

    return tf.cond(tf.reduce_any(limited), filtered, lambda: weights)


def _apply_min_p(weights: tf.Tensor, min_p: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.reduce_any(min_p > 0), lambda: _at_least(weights, min_p), lambda: weights)


def _least_kept(weights: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """The smallest of each row's likeliest weights that reach the mass `wanted` (rows,) together; else 0."""
    width = tf.shape(weights)[1]
    kept, enough = _least_of(weights, wanted, tf.minimum(width, HEAD))
    rest = tf.where(~enough)  # (any, 1)

    def sorted_whole() -> tf.Tensor:
        found = _least_of(tf.gather_nd(weights, rest), tf.gather_nd(wanted, rest), width)[0]
        return tf.tensor_scatter_nd_update(kept, rest, found)

    return tf.cond(tf.reduce_all(enough), lambda: kept, sorted_whole)


def _least_of(weights: tf.Tensor, wanted: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """As `_least_kept` among the `count` likeliest, and whether they reach that mass; both (rows,)."""
    largest = tf.math.top_k(weights, count).values
    cumulative = tf.cumsum(tf.cast(largest, tf.float64), axis=1)
    reached = tf.reduce_sum(tf.cast(cumulative < wanted[:, None], tf.int32), axis=1)
    kept = tf.gather(largest, tf.minimum(reached, count - 1), batch_dims=1)
    # Rounding alone may keep the whole sum below `wanted`: everything stays.
    return tf.where(reached < count, kept, 0.0), reached < count


def draw(weights: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """The first id at which the cumulative weight exceeds `uniforms` (rows,) of the total."""
    chunks = tf.reshape(weights, [tf.shape(weights)[0], -1, CHUNK])
    sums = tf.cumsum(tf.reduce_sum(tf.cast(chunks, tf.float64), axis=2), axis=1)
    target = uniforms * sums[:, -1]
    chunk = _first_above(sums, target)
    before = tf.where(chunk > 0, tf.gather(sums, tf.maximum(chunk - 1, 0), batch_dims=1), 0)
    within = tf.cumsum(tf.cast(tf.gather(chunks, chunk, batch_dims=1), tf.float64), axis=1)
    return chunk * CHUNK + _first_above(before[:, None] + within, target)


def _whole_chunks(logits: tf.Tensor) -> tf.Tensor:
    """(rows, width), with tokens that are never drawn up to a multiple of CHUNK.

    Vectorised functions treat a row's odd end in another way: equal logits would not have equal weights.
    """
    missing = -tf.shape(logits)[1] % CHUNK
    return tf.pad(logits, [[0, 0], [0, missing]], constant_values=-np.inf)


def _first_above(cumulative: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Along the second axis; where rounding leaves none above, the last that adds anything."""
    below_all = tf.math.nextafter(cumulative[:, -1], tf.constant(0, tf.float64))
    above = cumulative > tf.minimum(target, below_all)[:, None]
    return tf.argmax(above, axis=1, output_type=tf.int32)


def _at_least(weights: tf.Tensor, least: tf.Tensor) -> tf.Tensor:
    return tf.where(weights < least[:, None], 0.0, weights)
