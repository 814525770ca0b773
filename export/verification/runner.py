"""How a written servable is run, whatever its layout: rows of text go on from where they stand.

Scores are what the layout tells of each possible next token: logits, or log-probabilities, which are the same
up to a number for each position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from contract.manifest import Manifest
from contract.tensors import Array

Ids: TypeAlias = npt.NDArray[np.int32]
Row: TypeAlias = Any
"""Where one text stands: what a call gives, and the next call takes."""


@dataclass(frozen=True)
class Run:
    """What a call gave one row."""

    scores: Array  # float32 (positions, vocabulary): after the last of its tokens
    row: Row


@dataclass(frozen=True)
class Chosen:
    """What several steps in one call gave one row."""

    tokens: list[int]
    logprobs: Array  # float32 (tokens, vocabulary)
    row: Row


class Runner(Protocol):
    """A loaded servable."""

    manifest: Manifest
    tokenizer: bytes
    scores: str
    """What they are called."""
    most_steps: int
    """Of one call of `several`; 0: there is none."""

    def scores_of(self, logits: Array) -> Array:
        """What it should tell where a reference has `logits`."""

    def most_rows(self, longest: int) -> int:
        """Of one call, where the longest text will have this many tokens: at least 2."""

    def claim(self, batches: Sequence[Sequence[int]]) -> None:
        """Makes room for batches of texts that will have these lengths, the longest first."""

    def fresh(self, count: int) -> list[Row]:
        """Rows of one batch, which have seen nothing."""

    def aside(self) -> Row:
        """A fresh row that is moved before it goes on, where rows have places."""

    def prefill(self, pieces: Sequence[Ids], rows: Sequence[Row], last: int = 1) -> list[Run]:
        """Scores after each row's last tokens: of as many as `last` asks for and the layout tells."""

    def decode(self, tokens: Sequence[int], rows: Sequence[Row]) -> list[Run]:
        """One token more in every row of a batch."""

    def several(self, tokens: Sequence[int], rows: Sequence[Row], budgets: Sequence[int]) -> list[Chosen]:
        """The likeliest tokens, up to as many as `budgets` says, after `tokens` in every row of a batch."""

    def state(self, row: Row) -> dict[str, Array]:
        """What can be seen of it."""

    def close(self) -> None:
        """Gives the memory back."""
