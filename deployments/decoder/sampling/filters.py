"""Samples the next token of each batch row from its logits and one random number.

Temperature, top_k, top_p and min_p apply in this order, each to the tokens that the one before has kept. Each
filter is a threshold: tokens with the same probability as the last one kept are kept too, so that the order
of equal tokens does not matter. The sampled token is the first, in order of token id, whose cumulative
probability exceeds the random number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deployments.decoder.sampling.arrays import Float32, Float64, Int64, UInt64
from deployments.decoder.sampling.philox import uniforms
from deployments.messages import SamplingParams

_HEAD = 512
"""How many of the likeliest tokens top_p sorts first; these nearly always reach its probability mass."""


@dataclass(frozen=True)
class SamplingBatch:
    """The sampling parameters of batch rows, as arrays of shape (batch,)."""

    temperature: Float32
    top_k: Int64
    top_p: Float64
    min_p: Float32
    seed: UInt64
    position: UInt64

    @staticmethod
    def of(params: Sequence[SamplingParams], positions: Sequence[int]) -> "SamplingBatch":
        """`positions`: for each row the index of the next token, counted from the first of the prompt."""
        return SamplingBatch(
            temperature=np.array([p.temperature for p in params], np.float32),
            top_k=np.array([p.top_k for p in params], np.int64),
            # Rounded to float32, as a model server receives it, so that both samplers keep the same tokens.
            top_p=np.array([p.top_p for p in params], np.float32).astype(np.float64),
            min_p=np.array([p.min_p for p in params], np.float32),
            seed=np.array([p.seed for p in params], np.uint64),
            position=np.array(positions, np.uint64),
        )

    def select(self, chosen: npt.NDArray[np.bool_]) -> "SamplingBatch":
        """Returns the rows where `chosen` (batch,) is true."""
        return SamplingBatch(
            self.temperature[chosen],
            self.top_k[chosen],
            self.top_p[chosen],
            self.min_p[chosen],
            self.seed[chosen],
            self.position[chosen],
        )


def sample(logits: Float32, batch: SamplingBatch) -> Int64:
    """Returns token ids (batch,) for `logits` (batch, vocabulary), whose row maxima must be finite."""
    ids: Int64 = np.argmax(logits, axis=1)
    random = batch.temperature > 0
    if random.any():
        rows = batch.select(random)
        ids[random] = _draw(_weights(logits[random], rows), uniforms(rows.seed, rows.position))
    return ids


def _weights(logits: Float32, batch: SamplingBatch) -> Float32:
    """Unnormalised probabilities (batch, vocabulary): 1 for the likeliest token, 0 where filtered out."""
    # The maximum is subtracted before the division, so that a temperature near 0 gives greedy, not NaN.
    shifted = logits - logits.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        weights: Float32 = np.exp(shifted / batch.temperature[:, None])
    _apply_top_k(weights, batch.top_k)
    _apply_top_p(weights, batch.top_p)
    weights[weights < batch.min_p[:, None]] = 0
    return weights


def _apply_top_k(weights: Float32, top_k: Int64) -> None:
    limited = np.flatnonzero((top_k > 0) & (top_k < weights.shape[1]))
    if not limited.size:
        return
    k = top_k[limited]
    largest = _descending(weights[limited], int(k.max()))
    least = np.take_along_axis(largest, (k - 1)[:, None], axis=1)
    weights[limited] = np.where(weights[limited] < least, 0, weights[limited])


def _apply_top_p(weights: Float32, top_p: Float64) -> None:
    for row in np.flatnonzero(top_p < 1):
        wanted = top_p[row] * weights[row].sum(dtype=np.float64)
        weights[row][weights[row] < _least_kept(weights[row], wanted)] = 0


def _least_kept(weights: Float32, wanted: float) -> np.float32:
    """The smallest of the largest weights that together reach the mass `wanted`."""
    for count in (_HEAD, weights.shape[0]):
        largest = _descending(weights[None], count)[0]
        reached = int(np.searchsorted(np.cumsum(largest, dtype=np.float64), wanted))
        if reached < largest.shape[0]:
            return np.float32(largest[reached])
    # The sum stays below `wanted` only by rounding: all tokens are kept.
    return np.float32(0)


def _descending(weights: Float32, count: int) -> Float32:
    """The `count` largest weights of each row, largest first: (batch, count)."""
    count = min(count, weights.shape[1])
    largest = -np.partition(-weights, count - 1, axis=1)[:, :count]
    largest[:] = -np.sort(-largest, axis=1)
    return largest


def _draw(weights: Float32, random: Float64) -> Int64:
    """The first id whose cumulative weight exceeds the fraction `random` (batch,) of the total."""
    cumulative = np.cumsum(weights, axis=1, dtype=np.float64)
    target = random * cumulative[:, -1]
    return np.asarray(np.argmax(cumulative > target[:, None], axis=1), np.int64)
