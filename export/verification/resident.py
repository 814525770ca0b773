"""Servables with resident state, as the verifier runs them: texts in slots of a pool.

The rows of a batch, shortest first, lie in the first slots backwards: later blocks have fewer slots.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contract import names
from contract.manifest import Pool
from contract.tensors import Array
from export.errors import VerificationError
from export.verification.compared import log_softmax
from export.verification.pool_stepper import PoolStepper, Sampling, by_token
from export.verification.runner import Chosen, Ids, Run

MOST_ROWS = 8
POOL_BYTES = 128 << 20
"""Of the pool, where that leaves two slots."""


class Row(NamedTuple):
    slot: int
    held: int
    """Tokens in the slot."""


class ResidentRunner:
    """`export.verification.runner.Runner`."""

    scores = "log-probabilities"

    def __init__(self, directory: Path) -> None:
        self._stepper = stepper = PoolStepper(directory)
        self.manifest = stepper.manifest
        self.tokenizer = stepper.tokenizer
        self.most_steps = stepper.pool.max_steps

    def scores_of(self, logits: Array) -> Array:
        return log_softmax(logits)

    def most_rows(self, longest: int) -> int:
        return most_rows(self._stepper.pool, longest)

    def claim(self, batches: Sequence[Sequence[int]]) -> None:
        self._stepper.claim(slots(self._stepper.pool, batches))
        self._check_numbers()

    def fresh(self, count: int) -> list[Row]:
        return [Row(slot, 0) for slot in reversed(range(count))]

    def aside(self) -> Row:
        return Row(1, 0)

    def prefill(self, pieces: Sequence[Ids], rows: Sequence[Row], last: int = 1) -> list[Run]:
        answer = self._stepper.prefilled(
            pieces,
            [row.slot for row in rows],
            [row.held for row in rows],
            Sampling(logprobs=self.manifest.vocabulary_size),
            np.zeros((len(rows), last)),
        )
        after = [Row(row.slot, row.held + len(ids)) for row, ids in zip(rows, pieces, strict=True)]
        scores = by_token(answer[names.TOP_IDS], answer[names.TOP_LOGPROBS])
        return [Run(each[: len(ids)], row) for each, ids, row in zip(scores, pieces, after, strict=True)]

    def decode(self, tokens: Sequence[int], rows: Sequence[Row]) -> list[Run]:
        return [Run(each.logprobs, each.row) for each in self.several(tokens, rows, [1] * len(rows))]

    def several(self, tokens: Sequence[int], rows: Sequence[Row], budgets: Sequence[int]) -> list[Chosen]:
        rows = self._moved(rows)
        order = sorted(range(len(rows)), key=lambda i: rows[i].slot)
        answer = self._stepper.decoded(
            [tokens[i] for i in order],
            [rows[i].held for i in order],
            [budgets[i] for i in order],
            sampling=Sampling(logprobs=self.manifest.vocabulary_size),
        )
        scores = by_token(answer[names.TOP_IDS], answer[names.TOP_LOGPROBS])
        return [
            _chosen(answer[names.TOKENS][row.slot], scores[row.slot], row, budget)
            for row, budget in zip(rows, budgets, strict=True)
        ]

    def state(self, row: Row) -> dict[str, Array]:  # noqa: ARG002
        return {}

    def close(self) -> None:
        self._stepper.close()

    def _moved(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Into the first slots, if they are elsewhere."""
        if sorted(row.slot for row in rows) == list(range(len(rows))):
            return rows
        self._stepper.move([row.slot for row in rows], range(len(rows)))
        return [Row(slot, row.held) for slot, row in enumerate(rows)]

    def _check_numbers(self) -> None:
        """VerificationError where there are none: before they are asked for in order, which needs numbers."""
        if self._stepper.prefill([np.zeros(1, np.int32)], [0])[0] == names.FAILED:
            raise VerificationError("the log-probabilities after a prompt of 1 token are no numbers")


def most_rows(pool: Pool, longest: int) -> int:
    """Of one call, where the longest text will have this many tokens."""
    return max(2, min(MOST_ROWS, POOL_BYTES // (pool.blocks_for(longest) * pool.bytes_per_block)))


def slots(pool: Pool, batches: Sequence[Sequence[int]]) -> list[int]:
    """How many have each block: one for each row that reaches it, or two for a text that is moved."""
    reached = [
        max(sum(pool.blocks_for(length) > block for length in batch) for batch in batches)
        for block in range(pool.blocks)
    ]
    return [max(rows, 2) if rows else 0 for rows in reached]


def _chosen(tokens: Ids, logprobs: Array, row: Row, budget: int) -> Chosen:
    given = [token for token in tokens[:budget].tolist() if token >= 0]
    return Chosen(given, logprobs[: len(given)], Row(row.slot, row.held + len(given)))
