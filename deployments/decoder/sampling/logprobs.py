"""Log-probabilities of sampled tokens: computed from logits, or read from a model server's output.

They are the log-softmax of the model's logits, before logit edits, masks, temperature and filters.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from contract import names
from deployments.decoder.sampling.arrays import Float32, Int32
from deployments.messages import SamplingParams, TokenLogprobs


def max_requested(params: Sequence[SamplingParams]) -> int:
    """Returns how many of the likeliest tokens a call must report: the most of any row, or NO_LOGPROBS."""
    return max((p.logprobs for p in params if p.logprobs is not None), default=names.NO_LOGPROBS)


def for_token(logits: Float32, token: int, count: int) -> TokenLogprobs:
    """Computes the log-probabilities of `token` and of the `count` likeliest from `logits` (vocabulary,)."""
    highest = logits.max()
    mass = highest + np.log(np.exp(logits - highest).sum())
    top = _likeliest(logits, count)
    return _token_logprobs(logits[token] - mass, top, logits[top] - mass)


def for_row(
    chosen: Float32,  # (steps,)
    ids: Int32,  # (steps, top)
    values: Float32,  # (steps, top)
) -> tuple[TokenLogprobs, ...]:
    """Returns the log-probabilities of the tokens of one row, as a model server has computed them."""
    return tuple(_token_logprobs(*step) for step in zip(chosen.tolist(), ids, values, strict=True))


def _token_logprobs(chosen: float, ids: npt.NDArray[np.integer], values: Float32) -> TokenLogprobs:
    return TokenLogprobs(float(chosen), tuple(zip(ids.tolist(), values.tolist(), strict=True)))


def _likeliest(logits: Float32, count: int) -> npt.NDArray[np.intp]:
    """The ids of the `count` largest logits, largest first; of equal ones the lower id first."""
    if not count:
        return np.zeros(0, np.intp)
    least = np.partition(logits, -count)[-count]
    candidates = np.flatnonzero(logits >= least)
    return candidates[np.argsort(-logits[candidates], kind="stable")[:count]]
