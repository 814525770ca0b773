"""Builds the sampling inputs of `prefill` and `decode`, and parses their outputs.

The same for both state layouts; the caller decides which row of a call belongs to which sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract import names
from contract.tensors import Array
from deployments.decoder.calls.logit_edits import LogitEdits
from deployments.decoder.engine import NoTokenError, SampledTokens, StepRejectedError
from deployments.decoder.sampling import logprobs, token_mask
from deployments.decoder.sampling.arrays import Float64
from deployments.decoder.sampling.philox import uniforms
from deployments.decoder.sequence import TokenSequence
from deployments.decoder.servers.model_servers import Tensors
from deployments.messages import TokenLogprobs

PADDING: dict[str, float] = {
    names.EDIT_IDS: names.NO_EDIT,
    names.EDIT_COUNTS: names.UNSEEN,
    names.REPETITION: 1,
    names.MASK: token_mask.ALL,
}
"""The values of the inputs in rows without a sequence; 0 for an input that is not listed."""


def row_inputs(
    sequences: Sequence[TokenSequence], steps: int, lengths: Array | None = None
) -> dict[str, Array]:
    """Returns the inputs that have a row for each sequence, in a call of at most `steps` tokens per row.

    `lengths` (rows,): how many tokens each sequence has when it gets its first one; None: as many as now.
    """
    if lengths is None:
        lengths = np.array([sequence.length for sequence in sequences])
    params = [sequence.sampling for sequence in sequences]
    return {
        names.TEMPERATURE: np.array([p.temperature for p in params], np.float32),
        names.TOP_K: np.array([p.top_k for p in params], np.int32),
        names.TOP_P: np.array([p.top_p for p in params], np.float32),
        names.MIN_P: np.array([p.min_p for p in params], np.float32),
        names.UNIFORMS: _uniforms(sequences, lengths, steps),
        names.MASK: token_mask.stack([sequence.mask for sequence in sequences]),
        **LogitEdits.of(sequences, steps).inputs(),
    }


def call_inputs(sequences: Sequence[TokenSequence]) -> dict[str, Array]:
    """Returns the inputs that all rows share."""
    return {names.LOGPROBS: np.array(logprobs.max_requested([s.sampling for s in sequences]), np.int32)}


def parse_outputs(
    outputs: Tensors, sequences: Sequence[TokenSequence], rows: Sequence[int], shape: tuple[int, int]
) -> list[SampledTokens]:
    """Returns the sampled tokens of each sequence.

    `rows` gives the row of each sequence in outputs of `shape` (rows, steps). Raises StepRejectedError if the
    outputs break the contract, and NoTokenError if no token could be sampled for one of `rows`.
    """
    tokens = _tensor(outputs, names.TOKENS, np.int32, shape)[np.array(rows)]
    if (tokens == names.FAILED).any():
        raise NoTokenError()
    lengths = (tokens != names.NO_TOKEN).sum(axis=1).tolist()
    ids = [tuple(row[:length]) for row, length in zip(tokens.tolist(), lengths, strict=True)]
    top = logprobs.max_requested([sequence.sampling for sequence in sequences])
    if top == names.NO_LOGPROBS:
        return [SampledTokens(row) for row in ids]
    values = _logprob_outputs(outputs, (*shape, top))
    return [
        SampledTokens(
            tokens, None if (n := sequence.sampling.logprobs) is None else values.of(row, length, n)
        )
        for sequence, row, tokens, length in zip(sequences, rows, ids, lengths, strict=True)
    ]


@dataclass(frozen=True)
class _LogprobOutputs:
    """The log-probabilities in the outputs of a call."""

    tokens: Array  # (rows, steps)
    top_ids: Array  # (rows, steps, top)
    top: Array  # (rows, steps, top)

    def of(self, row: int, length: int, count: int) -> tuple[TokenLogprobs, ...]:
        """Returns those of the first `length` tokens of a row, each with the `count` likeliest."""
        chosen, ids, top = self.tokens[row, :length], self.top_ids[row, :length], self.top[row, :length]
        return logprobs.for_row(chosen, ids[:, :count], top[:, :count])


def _logprob_outputs(outputs: Tensors, shape: tuple[int, ...]) -> _LogprobOutputs:
    return _LogprobOutputs(
        _tensor(outputs, names.LOGPROBS, np.float32, shape[:2]),
        _tensor(outputs, names.TOP_IDS, np.int32, shape),
        _tensor(outputs, names.TOP_LOGPROBS, np.float32, shape),
    )


def _tensor(outputs: Tensors, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Array:
    tensor = outputs.get(name)
    if tensor is None or tensor.shape != shape or tensor.dtype != dtype:
        wanted = f"{np.dtype(dtype).name} {list(shape)}"
        raise StepRejectedError(f"the output breaks the contract: {name} must be {wanted}")
    return tensor


def _uniforms(sequences: Sequence[TokenSequence], lengths: Array, steps: int) -> Float64:
    """(rows, steps): a random number for each token that may be sampled."""
    seeds = np.array([sequence.sampling.seed for sequence in sequences], np.uint64)
    first = lengths.astype(np.uint64)
    positions = np.add(first[:, None], np.arange(steps, dtype=np.uint64), dtype=np.uint64)
    return uniforms(np.broadcast_to(seeds[:, None], positions.shape), positions)
