"""Scores of the same texts, held against each other position by position."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from contract.tensors import Array
from export.verification.difference import Difference, between, largest


@dataclass(frozen=True)
class Compared:
    """How far scores lie from those that they should be."""

    positions: int
    error: Difference
    """Of the scores themselves."""
    kl: float
    """The Kullback-Leibler divergence of their probabilities from the right ones, mean over positions."""
    agreement: float
    """The part of positions with the same likeliest token."""

    @classmethod
    def of(cls, name: str, pairs: Iterable[tuple[Array, Array]]) -> Self:
        """Of pairs (given, expected), each (positions, vocabulary); `name` is what the scores are called."""
        # One position at a time: a vocabulary may be large, and float64 takes its space several times.
        rows = [_row(name, *row) for pair in pairs for row in zip(*pair, strict=True)]
        errors, divergences, agreements = zip(*rows, strict=True)
        return cls(len(rows), largest(errors), float(np.mean(divergences)), float(np.mean(agreements)))


def _row(name: str, given: Array, expected: Array) -> tuple[Difference, float, bool]:
    """(vocabulary,) each."""
    p, q = log_softmax(expected), log_softmax(given)
    divergence = float((np.exp(p) * (p - q)).sum())
    return between(name, given, expected), divergence, bool(given.argmax() == expected.argmax())


def log_softmax(logits: Array) -> npt.NDArray[np.float64]:
    """Along the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    out: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return out
