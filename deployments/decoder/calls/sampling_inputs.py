"""What a signature that samples in the graph is told, and what its answer means: for a call's sequences.

Does not know layouts of state, nor which rows of a call the sequences have.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from contract import names
from contract.tensors import Array
from deployments.decoder.calls.logit_edits import LogitEdits
from deployments.decoder.engine import NoTokenError, Sampled, StepRejectedError
from deployments.decoder.sampling import logprobs, token_mask
from deployments.decoder.sampling.philox import uniforms
from deployments.decoder.sequence import TokenSequence
from deployments.decoder.servers.model_servers import Tensors
from deployments.messages import TokenLogprobs

FILLS: dict[str, float] = {
    names.EDIT_IDS: names.NO_EDIT,
    names.EDIT_COUNTS: names.UNSEEN,
    names.REPETITION: 1,
    names.MASK: token_mask.ALL,
}
"""What the inputs hold in rows without a sequence; 0 where nothing is said."""


def of_rows(sequences: Sequence[TokenSequence], steps: int) -> dict[str, Array]:
    """The inputs with a row for each sequence, for at most `steps` tokens."""
    params = [sequence.sampling for sequence in sequences]
    return {
        names.TEMPERATURE: np.array([p.temperature for p in params], np.float32),
        names.TOP_K: np.array([p.top_k for p in params], np.int32),
        names.TOP_P: np.array([p.top_p for p in params], np.float32),
        names.MIN_P: np.array([p.min_p for p in params], np.float32),
        names.UNIFORMS: _uniforms(sequences, steps),
        names.MASK: token_mask.stack([sequence.mask for sequence in sequences]),
        **LogitEdits.of(sequences, steps).inputs(),
    }


def of_call(sequences: Sequence[TokenSequence]) -> dict[str, Array]:
    """The inputs that all rows share."""
    return {names.LOGPROBS: np.array(logprobs.asked([s.sampling for s in sequences]), np.int32)}


def read(
    outputs: Tensors, sequences: Sequence[TokenSequence], rows: Sequence[int], shape: tuple[int, int]
) -> list[Sampled]:
    """What each sequence got; `rows` are theirs in an answer of `shape` (rows, steps).

    StepRejectedError where the answer breaks the contract; NoTokenError where a row could get none.
    """
    tokens = _tensor(outputs, names.TOKENS, np.int32, shape)[np.array(rows)]
    if (tokens == names.FAILED).any():
        raise NoTokenError()
    lengths = (tokens != names.NO_TOKEN).sum(axis=1).tolist()
    ids = [tuple(row[:length]) for row, length in zip(tokens.tolist(), lengths, strict=True)]
    top = logprobs.asked([sequence.sampling for sequence in sequences])
    if top == names.NO_LOGPROBS:
        return [Sampled(row) for row in ids]
    told = _told(outputs, (*shape, top))
    return [
        Sampled(given, None if (n := sequence.sampling.logprobs) is None else told.of(row, length, n))
        for sequence, row, given, length in zip(sequences, rows, ids, lengths, strict=True)
    ]


@dataclass(frozen=True)
class _Told:
    """The log-probabilities in an answer."""

    tokens: Array  # (rows, steps)
    top_ids: Array  # (rows, steps, top)
    top: Array  # (rows, steps, top)

    def of(self, row: int, length: int, count: int) -> tuple[TokenLogprobs, ...]:
        chosen, ids, top = self.tokens[row, :length], self.top_ids[row, :length], self.top[row, :length]
        return logprobs.of_row(chosen, ids[:, :count], top[:, :count])


def _told(outputs: Tensors, shape: tuple[int, ...]) -> _Told:
    return _Told(
        _tensor(outputs, names.LOGPROBS, np.float32, shape[:2]),
        _tensor(outputs, names.TOP_IDS, np.int32, shape),
        _tensor(outputs, names.TOP_LOGPROBS, np.float32, shape),
    )


def _tensor(outputs: Tensors, name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Array:
    tensor = outputs.get(name)
    if tensor is None or tensor.shape != shape or tensor.dtype != dtype:
        wanted = f"{np.dtype(dtype).name} {list(shape)}"
        raise StepRejectedError(f"its answer breaks the contract: {name} must be {wanted}")
    return tensor


def _uniforms(sequences: Sequence[TokenSequence], steps: int) -> npt.NDArray[np.float64]:
    """(rows, steps): the numbers of the tokens that each sequence is about to get."""
    seeds = np.array([sequence.sampling.seed for sequence in sequences], np.uint64)
    first = np.array([sequence.length for sequence in sequences], np.uint64)
    positions = np.add(first[:, None], np.arange(steps, dtype=np.uint64), dtype=np.uint64)
    return uniforms(np.broadcast_to(seeds[:, None], positions.shape), positions)
