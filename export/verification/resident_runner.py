"""The verifier's runner for servables with resident state: sequences lie in slots of a pool.

The rows of a batch, shortest first, take the first slots in reverse order, because later blocks have fewer
slots: the longest sequence lies in slot 0.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contract import names
from contract.manifest import Pool
from contract.tensors import Array, Ids
from export.errors import VerificationError
from export.verification.pool_stepper import PoolStepper, Sampling, by_token
from export.verification.runner import RowScores, RowTokens
from export.verification.score_comparison import log_softmax

MAX_ROWS = 8
POOL_BYTES = 128 << 20
"""The size that the pool should not exceed; it has at least two slots in any case."""


class ResidentRow(NamedTuple):
    """A sequence in a slot of the pool."""

    slot: int
    held: int
    """The number of tokens in the slot."""


class ResidentRunner:
    """A `Runner` that keeps sequences in a pool; its scores are log-probabilities."""

    score_name = "log-probabilities"

    def __init__(self, directory: Path) -> None:
        self._stepper = stepper = PoolStepper(directory)
        self.manifest = stepper.manifest
        self.tokenizer = stepper.tokenizer
        self.max_steps = stepper.pool.max_steps

    def expected_scores(self, logits: Array) -> Array:
        """Returns the log-probabilities of `logits`."""
        return log_softmax(logits)

    def max_rows(self, longest: int) -> int:
        """Returns how many rows of up to `longest` tokens fit into a pool of about `POOL_BYTES`."""
        return max_rows(self._stepper.pool, longest)

    def claim(self, batches: Sequence[Sequence[int]]) -> None:
        """Claims a pool in which each of `batches` fits; raises VerificationError if a prefill gives NaN."""
        self._stepper.claim(slots_per_block(self._stepper.pool, batches))
        self._check_logprobs()

    def new_rows(self, count: int) -> list[ResidentRow]:
        """Returns empty rows in the first `count` slots, the last row in slot 0."""
        return [ResidentRow(slot, 0) for slot in reversed(range(count))]

    def new_moving_row(self) -> ResidentRow:
        """Returns an empty row in slot 1: decoding it alone requires a move to slot 0."""
        return ResidentRow(1, 0)

    def prefill(self, pieces: Sequence[Ids], rows: Sequence[ResidentRow], last: int = 1) -> list[RowScores]:
        """Feeds each row a piece; returns log-probabilities after its last `last` tokens."""
        outputs = self._stepper.prefill_outputs(
            pieces,
            [row.slot for row in rows],
            [row.held for row in rows],
            Sampling(logprobs=self.manifest.vocabulary_size),
            np.zeros((len(rows), last)),
        )
        after = [ResidentRow(row.slot, row.held + len(ids)) for row, ids in zip(rows, pieces, strict=True)]
        scores = by_token(outputs[names.TOP_IDS], outputs[names.TOP_LOGPROBS])
        return [
            RowScores(each[: len(ids)], row) for each, ids, row in zip(scores, pieces, after, strict=True)
        ]

    def decode(self, tokens: Sequence[int], rows: Sequence[ResidentRow]) -> list[RowScores]:
        """Feeds each row one token, as a call of one decode step."""
        results = self.decode_steps(tokens, rows, [1] * len(rows))
        return [RowScores(result.logprobs, result.row) for result in results]

    def decode_steps(
        self, tokens: Sequence[int], rows: Sequence[ResidentRow], budgets: Sequence[int]
    ) -> list[RowTokens]:
        """Moves the rows to the first slots where needed, then decodes greedily."""
        rows = self._in_first_slots(rows)
        order = sorted(range(len(rows)), key=lambda i: rows[i].slot)
        outputs = self._stepper.decode_outputs(
            [tokens[i] for i in order],
            [rows[i].held for i in order],
            [budgets[i] for i in order],
            sampling=Sampling(logprobs=self.manifest.vocabulary_size),
        )
        scores = by_token(outputs[names.TOP_IDS], outputs[names.TOP_LOGPROBS])
        return [
            _row_tokens(outputs[names.TOKENS][row.slot], scores[row.slot], row, budget)
            for row, budget in zip(rows, budgets, strict=True)
        ]

    def state(self, row: ResidentRow) -> dict[str, Array]:  # noqa: ARG002
        """Returns nothing: the state stays in the pool."""
        return {}

    def close(self) -> None:
        """Unloads the servable and its pool."""
        self._stepper.close()

    def _in_first_slots(self, rows: Sequence[ResidentRow]) -> Sequence[ResidentRow]:
        if sorted(row.slot for row in rows) == list(range(len(rows))):
            return rows
        self._stepper.move([row.slot for row in rows], range(len(rows)))
        return [ResidentRow(slot, row.held) for slot, row in enumerate(rows)]

    def _check_logprobs(self) -> None:
        """Raises VerificationError for NaN, before log-probabilities are requested: NaN cannot be ranked."""
        if self._stepper.prefill([np.zeros(1, np.int32)], [0])[0] == names.FAILED:
            raise VerificationError("the log-probabilities after a prompt of 1 token are NaN")


def max_rows(pool: Pool, longest: int) -> int:
    """Returns how many sequences of up to `longest` tokens one call may have: 2 to `MAX_ROWS`."""
    return max(2, min(MAX_ROWS, POOL_BYTES // (pool.blocks_for(longest) * pool.bytes_per_block)))


def slots_per_block(pool: Pool, batches: Sequence[Sequence[int]]) -> list[int]:
    """Returns the slots of each block: one for each row that reaches it, and two so that a row can move."""
    rows_reaching = [
        max(sum(pool.blocks_for(length) > block for length in batch) for batch in batches)
        for block in range(pool.blocks)
    ]
    return [max(rows, 2) if rows else 0 for rows in rows_reaching]


def _row_tokens(tokens: Ids, logprobs: Array, row: ResidentRow, budget: int) -> RowTokens:
    chosen = [token for token in tokens[:budget].tolist() if token >= 0]
    return RowTokens(chosen, logprobs[: len(chosen)], ResidentRow(row.slot, row.held + len(chosen)))
