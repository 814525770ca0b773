"""The interface through which the verifier runs a servable of either state layout.

Scores are what a layout returns for each possible next token: logits (explicit state) or log-probabilities
(resident state). At each position, these two differ by a constant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from contract.manifest import Manifest
from contract.tensors import Array, Ids

RowHandle: TypeAlias = Any
"""A sequence between two calls: each call takes the handles of its rows and returns new ones."""


@dataclass(frozen=True)
class RowScores:
    """The result of `prefill` or `decode` for one row."""

    scores: Array  # float32 (positions, vocabulary): after the last of its tokens
    row: RowHandle


@dataclass(frozen=True)
class RowTokens:
    """The result of `decode_steps` for one row."""

    tokens: list[int]
    logprobs: Array  # float32 (tokens, vocabulary)
    row: RowHandle


class Runner(Protocol):
    """A loaded servable."""

    manifest: Manifest
    tokenizer: bytes
    score_name: str
    """The name of the scores in messages."""
    max_steps: int
    """The most steps in one call of `decode_steps`; 0: the servable has no such signature."""

    def expected_scores(self, logits: Array) -> Array:
        """Returns the scores that are right where a reference has `logits`."""

    def max_rows(self, longest: int) -> int:
        """Returns how many rows a call may have if its longest sequence grows to `longest`; at least 2."""

    def claim(self, batches: Sequence[Sequence[int]]) -> None:
        """Allocates state for batches of sequences of these final lengths, shortest first."""

    def new_rows(self, count: int) -> list[RowHandle]:
        """Returns the empty rows of one batch."""

    def new_moving_row(self) -> RowHandle:
        """Returns an empty row that `decode` will move to another slot, if the layout has slots."""

    def prefill(self, pieces: Sequence[Ids], rows: Sequence[RowHandle], last: int = 1) -> list[RowScores]:
        """Feeds each row a piece; returns scores after its last `last` tokens, or as many as there are."""

    def decode(self, tokens: Sequence[int], rows: Sequence[RowHandle]) -> list[RowScores]:
        """Feeds each row of a batch one token."""

    def decode_steps(
        self, tokens: Sequence[int], rows: Sequence[RowHandle], budgets: Sequence[int]
    ) -> list[RowTokens]:
        """Feeds each row its token, then decodes greedily, all in one call: up to `budgets` tokens a row."""

    def state(self, row: RowHandle) -> dict[str, Array]:
        """Returns the state tensors of a row; empty if the layout keeps them in the model server."""

    def close(self) -> None:
        """Unloads the servable and frees its memory."""
