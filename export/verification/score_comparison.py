"""Comparison of the scores that two computations of the same sequences give, position by position."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from contract.tensors import Array
from export.verification.difference import Difference, between, largest


@dataclass(frozen=True)
class ScoreComparison:
    """How far scores are from the expected ones."""

    positions: int
    error: Difference
    """The largest absolute error of a score."""
    kl: float
    """The Kullback-Leibler divergence from the expected probabilities in nats, mean over positions."""
    agreement: float
    """The fraction of positions at which both have the same likeliest token."""

    @classmethod
    def of(cls, name: str, pairs: Iterable[tuple[Array, Array]]) -> Self:
        """Compares pairs (actual, expected), each (positions, vocabulary); `name` is that of the scores."""
        # One position at a time: a vocabulary may be large, and float64 takes its space several times.
        positions = [_compare(name, *position) for pair in pairs for position in zip(*pair, strict=True)]
        errors, divergences, agreements = zip(*positions, strict=True)
        return cls(len(positions), largest(errors), float(np.mean(divergences)), float(np.mean(agreements)))


def _compare(
    name: str,
    actual: Array,  # (vocabulary,)
    expected: Array,  # (vocabulary,)
) -> tuple[Difference, float, bool]:
    p, q = log_softmax(expected), log_softmax(actual)
    divergence = float((np.exp(p) * (p - q)).sum())
    return between(name, actual, expected), divergence, bool(actual.argmax() == expected.argmax())


def log_softmax(logits: Array) -> npt.NDArray[np.float64]:
    """Computes the log-softmax along the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    out: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out
