"""How far two models' probabilities are apart. Needs numpy alone."""

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.floating]


def mean_kl(truth: Logits, other: Logits) -> float:
    """The Kullback-Leibler divergence of `other` from `truth`, mean over rows of (rows, vocabulary)."""
    p, q = log_softmax(truth), log_softmax(other)
    return float((np.exp(p) * (p - q)).sum(axis=-1).mean())


def log_softmax(logits: Logits) -> npt.NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
