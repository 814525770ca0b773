"""The next token of every sequence of a call, from logits that are here, as each request asks for it.

Edits (penalties, biases, bans), then the mask, then temperature and filters, then the draw: the tokens are
those of the graphs that sample. Does not know where logits come from.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deployments.decoder.calls.logit_edits import LogitEdits
from deployments.decoder.engine import NoTokenError, Sampled
from deployments.decoder.sampling import logprobs, token_mask
from deployments.decoder.sampling.filters import SamplingBatch, sample
from deployments.decoder.sequence import TokenSequence
from deployments.messages import TokenLogprobs

Float32 = npt.NDArray[np.float32]


def next_tokens(sequences: Sequence[TokenSequence], logits: Float32) -> list[Sampled]:
    """One token for each row of `logits` (rows, vocabulary); NoTokenError where a row allows none."""
    params = [sequence.sampling for sequence in sequences]
    changed = _changed(sequences, logits)
    ids: list[int] = sample(changed, SamplingBatch.of(params, [s.length for s in sequences])).tolist()
    return [
        Sampled((token,), _told(sequence, row, token))
        for sequence, row, token in zip(sequences, logits, ids, strict=True)
    ]


def _changed(sequences: Sequence[TokenSequence], logits: Float32) -> Float32:
    """`logits` themselves where no row asks for anything."""
    edits, mask = LogitEdits.of(sequences), token_mask.stack([sequence.mask for sequence in sequences])
    if not edits.ids.size and not mask.size:
        return logits
    changed = logits.copy()
    edits.apply(changed)
    token_mask.apply(changed, mask)
    if not np.isfinite(changed.max(axis=1)).all():
        raise NoTokenError()
    return changed


def _told(sequence: TokenSequence, logits: Float32, token: int) -> tuple[TokenLogprobs, ...] | None:
    count = sequence.sampling.logprobs
    return None if count is None else (logprobs.of_token(logits, token, count),)
