"""Samples the next token of each sequence on the host, from the logits of a call.

Applies logit edits (penalties, biases, bans), then the token mask, then temperature and filters, and then
draws. The sampler in the graph (`export/sampling/`) gives the same tokens.
"""

from collections.abc import Sequence

import numpy as np

from deployments.decoder.calls.logit_edits import LogitEdits
from deployments.decoder.engine import NoTokenError, SampledTokens
from deployments.decoder.sampling import logprobs, token_mask
from deployments.decoder.sampling.arrays import Float32
from deployments.decoder.sampling.filters import SamplingBatch, sample
from deployments.decoder.sequence import TokenSequence
from deployments.messages import TokenLogprobs


def next_tokens(sequences: Sequence[TokenSequence], logits: Float32) -> list[SampledTokens]:
    """Samples one token for each row of `logits` (rows, vocabulary).

    Raises NoTokenError if edits or a mask leave a row no token, or if the logits that they change are NaN.
    Logits that nothing changes must be finite.
    """
    params = [sequence.sampling for sequence in sequences]
    edited = _edited(sequences, logits)
    ids: list[int] = sample(edited, SamplingBatch.of(params, [s.length for s in sequences])).tolist()
    return [
        SampledTokens((token,), _logprobs(sequence, row, token))
        for sequence, row, token in zip(sequences, logits, ids, strict=True)
    ]


def _edited(sequences: Sequence[TokenSequence], logits: Float32) -> Float32:
    """The logits after edits and masks; `logits` itself if no row has any."""
    edits, mask = LogitEdits.of(sequences), token_mask.stack([sequence.mask for sequence in sequences])
    if not edits.ids.size and not mask.size:
        return logits
    edited = logits.copy()
    edits.apply(edited)
    token_mask.apply(edited, mask)
    if not np.isfinite(edited.max(axis=1)).all():
        raise NoTokenError()
    return edited


def _logprobs(sequence: TokenSequence, logits: Float32, token: int) -> tuple[TokenLogprobs, ...] | None:
    count = sequence.sampling.logprobs
    return None if count is None else (logprobs.for_token(logits, token, count),)
