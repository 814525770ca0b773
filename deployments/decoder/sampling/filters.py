"""The next token of every row of a batch, from its logits and one random number.

Filters apply in this order, each to what the former left: temperature, top_k, top_p, min_p. All are
thresholds: tokens as likely as the last one kept are kept too, so that no order among equals matters.
The token is where the cumulative probability, in order of token id, passes the random number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deployments.decoder.sampling.philox import uniforms
from deployments.messages import SamplingParams

Float32 = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

_HEAD = 512
"""How many of the likeliest tokens are sorted first; they nearly always hold the mass that top_p asks for."""


@dataclass(frozen=True)
class SamplingBatch:
    """The parameters of a batch's rows as arrays of shape (batch,)."""

    temperature: Float32
    top_k: Ids
    top_p: npt.NDArray[np.float64]
    min_p: Float32
    seed: npt.NDArray[np.uint64]
    position: npt.NDArray[np.uint64]

    @staticmethod
    def of(params: Sequence[SamplingParams], positions: Sequence[int]) -> "SamplingBatch":
        """`positions`: the index, in prompt and answer, of the token that each row is about to get."""
        return SamplingBatch(
            temperature=np.array([p.temperature for p in params], np.float32),
            top_k=np.array([p.top_k for p in params], np.int64),
            # Through float32, as it reaches a model server: both samplers then cut at the same mass.
            top_p=np.array([p.top_p for p in params], np.float32).astype(np.float64),
            min_p=np.array([p.min_p for p in params], np.float32),
            seed=np.array([p.seed for p in params], np.uint64),
            position=np.array(positions, np.uint64),
        )

    def rows(self, chosen: npt.NDArray[np.bool_]) -> "SamplingBatch":
        return SamplingBatch(
            self.temperature[chosen],
            self.top_k[chosen],
            self.top_p[chosen],
            self.min_p[chosen],
            self.seed[chosen],
            self.position[chosen],
        )


def sample(logits: Float32, batch: SamplingBatch) -> Ids:
    """Token ids (batch,) for finite `logits` (batch, vocabulary)."""
    ids: Ids = np.argmax(logits, axis=1)
    random = batch.temperature > 0
    if random.any():
        rows = batch.rows(random)
        ids[random] = _draw(_weights(logits[random], rows), uniforms(rows.seed, rows.position))
    return ids


def _weights(logits: Float32, batch: SamplingBatch) -> Float32:
    """Unnormalised probabilities (batch, vocabulary): the likeliest has 1, what is filtered out has 0."""
    # The maximum goes before the division: a temperature near 0 then underflows to greedy, not to NaN.
    shifted = logits - logits.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        weights: Float32 = np.exp(shifted / batch.temperature[:, None])
    _apply_top_k(weights, batch.top_k)
    _apply_top_p(weights, batch.top_p)
    weights[weights < batch.min_p[:, None]] = 0
    return weights


def _apply_top_k(weights: Float32, top_k: Ids) -> None:
    limited = np.flatnonzero((top_k > 0) & (top_k < weights.shape[1]))
    if not limited.size:
        return
    k = top_k[limited]
    largest = _descending(weights[limited], int(k.max()))
    least = np.take_along_axis(largest, (k - 1)[:, None], axis=1)
    weights[limited] = np.where(weights[limited] < least, 0, weights[limited])


def _apply_top_p(weights: Float32, top_p: npt.NDArray[np.float64]) -> None:
    for row in np.flatnonzero(top_p < 1):
        wanted = top_p[row] * weights[row].sum(dtype=np.float64)
        weights[row][weights[row] < _least_kept(weights[row], wanted)] = 0


def _least_kept(weights: Float32, wanted: float) -> np.float32:
    """The smallest of the likeliest weights that reach the mass `wanted` together."""
    for count in (_HEAD, weights.shape[0]):
        largest = _descending(weights[None], count)[0]
        reached = int(np.searchsorted(np.cumsum(largest, dtype=np.float64), wanted))
        if reached < largest.shape[0]:
            return np.float32(largest[reached])
    # Rounding alone kept the sum below `wanted`: everything stays.
    return np.float32(0)


def _descending(weights: Float32, count: int) -> Float32:
    """The `count` largest of each row, largest first: (batch, count)."""
    count = min(count, weights.shape[1])
    largest = -np.partition(-weights, count - 1, axis=1)[:, :count]
    largest[:] = -np.sort(-largest, axis=1)
    return largest


def _draw(weights: Float32, random: npt.NDArray[np.float64]) -> Ids:
    """The first id at which the cumulative weight exceeds `random` (batch,) of the total."""
    cumulative = np.cumsum(weights, axis=1, dtype=np.float64)
    target = random * cumulative[:, -1]
    return np.asarray(np.argmax(cumulative > target[:, None], axis=1), np.int64)
