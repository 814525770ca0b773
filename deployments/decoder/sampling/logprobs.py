"""Log-probabilities of sampled tokens: of logits that are here, or as a model server answered them.

They are the log-softmax of the logits as the model gave them, before anything that sampling does to them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contract import names
from deployments.messages import SamplingParams, TokenLogprobs

Float32 = npt.NDArray[np.float32]


def asked(params: Sequence[SamplingParams]) -> int:
    """How many of the likeliest tokens a call has to tell: the most that a row wants, or NO_LOGPROBS."""
    return max((p.logprobs for p in params if p.logprobs is not None), default=names.NO_LOGPROBS)


def of_token(logits: Float32, token: int, count: int) -> TokenLogprobs:
    """Of `token` and the `count` likeliest, by `logits` (vocabulary,)."""
    highest = logits.max()
    mass = highest + np.log(np.exp(logits - highest).sum())
    top = _likeliest(logits, count)
    return _told(logits[token] - mass, top, logits[top] - mass)


def of_row(
    chosen: Float32,  # (steps,)
    ids: npt.NDArray[np.int32],  # (steps, top)
    values: Float32,  # (steps, top)
) -> tuple[TokenLogprobs, ...]:
    """Of one row's tokens, as a model server answered."""
    return tuple(_told(*told) for told in zip(chosen.tolist(), ids, values, strict=True))


def _told(chosen: float, ids: npt.NDArray[np.integer], values: Float32) -> TokenLogprobs:
    return TokenLogprobs(float(chosen), tuple(zip(ids.tolist(), values.tolist(), strict=True)))


def _likeliest(logits: Float32, count: int) -> npt.NDArray[np.intp]:
    """The ids of the `count` largest, largest first, of equals the lower first."""
    if not count:
        return np.zeros(0, np.intp)
    least = np.partition(logits, -count)[-count]
    candidates = np.flatnonzero(logits >= least)
    return candidates[np.argsort(-logits[candidates], kind="stable")[:count]]
