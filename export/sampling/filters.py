"""Samples the next token of every row, in the graph, from its logits and one random number.

The filters apply in this order, each to what the one before it kept: temperature, top_k, top_p, min_p. All
are thresholds: tokens as likely as the last one kept are kept too. The sampled token is where the cumulative
probability, in order of token id, passes the random number. The decode loop's sampler samples the same
tokens. A filter takes time only in calls in which some row uses it.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from contract.names import FAILED

HEAD = 512
"""How many of the likeliest tokens are sorted first; their probabilities nearly always add up to top_p."""
CHUNK = 256
"""How many tokens there are between two entries of the coarse cumulative sum."""


class FilterParameters(NamedTuple):
    """The parameters of each row, (rows,), as the signatures' inputs of these names."""

    temperature: tf.Tensor
    top_k: tf.Tensor
    top_p: tf.Tensor
    min_p: tf.Tensor


def sample(logits: tf.Tensor, parameters: FilterParameters, uniforms: tf.Tensor) -> tf.Tensor:
    """Returns token ids int32 (rows,) for `logits` (rows, vocabulary) and `uniforms` float64 (rows,).

    FAILED for a row with a logit that is NaN or +inf, or in which every logit is -inf.
    """
    highest = tf.reduce_max(logits, axis=1)
    greedy = tf.argmax(logits, axis=1, output_type=tf.int32)
    random = parameters.temperature > 0

    def drawn() -> tf.Tensor:
        ids = draw(_probs(_whole_chunks(logits), highest, parameters), uniforms)
        return tf.where(random, ids, greedy)

    ids = tf.cond(tf.reduce_any(random), drawn, lambda: greedy)
    return tf.where(tf.math.is_finite(highest), ids, FAILED)


def _probs(logits: tf.Tensor, highest: tf.Tensor, parameters: FilterParameters) -> tf.Tensor:
    """Returns unnormalised probabilities (rows, width): 1 for the likeliest token, 0 if filtered out."""
    temperature = parameters.temperature
    divisor = tf.where(temperature > 0, temperature, 1.0)[:, None]
    # The maximum is subtracted before the division: a temperature near 0 then gives greedy, not NaN.
    probs = tf.exp((logits - highest[:, None]) / divisor)
    probs = _apply_top_k(probs, tf.where(temperature > 0, parameters.top_k, 0))
    probs = _apply_top_p(probs, tf.where(temperature > 0, parameters.top_p, 1.0))
    return _apply_min_p(probs, parameters.min_p)


def _apply_top_k(probs: tf.Tensor, top_k: tf.Tensor) -> tf.Tensor:
    limited = (top_k > 0) & (top_k < tf.shape(probs)[1])
    k = tf.where(limited, top_k, 1)

    def filtered() -> tf.Tensor:
        largest = tf.math.top_k(probs, tf.reduce_max(k)).values
        least = tf.gather(largest, k - 1, batch_dims=1)
        return _at_least(probs, tf.where(limited, least, 0.0))

    return tf.cond(tf.reduce_any(limited), filtered, lambda: probs)


def _apply_top_p(probs: tf.Tensor, top_p: tf.Tensor) -> tf.Tensor:
    limited = top_p < 1

    def filtered() -> tf.Tensor:
        mass = tf.reduce_sum(tf.cast(probs, tf.float64), axis=1)
        wanted = tf.where(limited, tf.cast(top_p, tf.float64) * mass, 0)
        return _at_least(probs, tf.where(limited, _least_kept(probs, wanted), 0.0))

    return tf.cond(tf.reduce_any(limited), filtered, lambda: probs)


def _apply_min_p(probs: tf.Tensor, min_p: tf.Tensor) -> tf.Tensor:
    return tf.cond(tf.reduce_any(min_p > 0), lambda: _at_least(probs, min_p), lambda: probs)


def _least_kept(probs: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Returns the least probability that top_p keeps, (rows,).

    The probabilities from the likeliest down to it sum to `wanted` (rows,) or more. 0 where even all do not.
    """
    width = tf.shape(probs)[1]
    kept, enough = _least_kept_of(probs, wanted, tf.minimum(width, HEAD))
    unfinished = tf.where(~enough)  # (any, 1)

    def sorted_whole() -> tf.Tensor:
        found = _least_kept_of(tf.gather_nd(probs, unfinished), tf.gather_nd(wanted, unfinished), width)[0]
        return tf.tensor_scatter_nd_update(kept, unfinished, found)

    return tf.cond(tf.reduce_all(enough), lambda: kept, sorted_whole)


def _least_kept_of(probs: tf.Tensor, wanted: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `_least_kept` of the `count` likeliest tokens, and whether they reach `wanted`: (rows,)."""
    largest = tf.math.top_k(probs, count).values
    cumulative = tf.cumsum(tf.cast(largest, tf.float64), axis=1)
    reached = tf.reduce_sum(tf.cast(cumulative < wanted[:, None], tf.int32), axis=1)
    kept = tf.gather(largest, tf.minimum(reached, count - 1), batch_dims=1)
    # Rounding may keep even the sum of all below `wanted`: then every token is kept.
    return tf.where(reached < count, kept, 0.0), reached < count


def draw(probs: tf.Tensor, uniforms: tf.Tensor) -> tf.Tensor:
    """Returns the first id whose cumulative probability exceeds `uniforms` (rows,) times the total, (rows,).

    `probs` are unnormalised (rows, width), where CHUNK divides the width.
    """
    chunks = tf.reshape(probs, [tf.shape(probs)[0], -1, CHUNK])
    sums = tf.cumsum(tf.reduce_sum(tf.cast(chunks, tf.float64), axis=2), axis=1)
    target = uniforms * sums[:, -1]
    chunk = _first_above(sums, target)
    before = tf.where(chunk > 0, tf.gather(sums, tf.maximum(chunk - 1, 0), batch_dims=1), 0)
    within = tf.cumsum(tf.cast(tf.gather(chunks, chunk, batch_dims=1), tf.float64), axis=1)
    return chunk * CHUNK + _first_above(before[:, None] + within, target)


def _whole_chunks(logits: tf.Tensor) -> tf.Tensor:
    """Pads the vocabulary to a multiple of CHUNK with tokens that are never sampled, (rows, width).

    Vectorised functions compute the rest of a row differently: equal logits would get unequal probabilities.
    """
    missing = -tf.shape(logits)[1] % CHUNK
    return tf.pad(logits, [[0, 0], [0, missing]], constant_values=-np.inf)


def _first_above(cumulative: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Returns the first index along the second axis that is above `target` (rows,).

    If rounding leaves none above, the last index with any probability of its own.
    """
    below_all = tf.math.nextafter(cumulative[:, -1], tf.constant(0, tf.float64))
    above = cumulative > tf.minimum(target, below_all)[:, None]
    return tf.argmax(above, axis=1, output_type=tf.int32)


def _at_least(probs: tf.Tensor, least: tf.Tensor) -> tf.Tensor:
    return tf.where(probs < least[:, None], 0.0, probs)
