"""The verifier's runner for servables with explicit state."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract import names
from contract.tensors import Array, Ids
from export.verification.pool_stepper import Sampling, by_token
from export.verification.runner import RowScores, RowTokens
from export.verification.stepper import RowState, Stepper

MAX_ROWS = 8


@dataclass(frozen=True)
class ExplicitRow:
    """A sequence as its state tensors."""

    state: RowState
    held: int
    """The number of tokens that the state covers."""


class ExplicitRunner:
    """A `Runner` that passes the state with each call; its scores are logits."""

    score_name = names.LOGITS

    def __init__(self, directory: Path) -> None:
        self._stepper = stepper = Stepper(directory)
        self.manifest = stepper.manifest
        self.tokenizer = stepper.tokenizer
        self.max_steps = stepper.manifest.decode_steps

    def expected_scores(self, logits: Array) -> Array:
        """Returns the logits as they are."""
        return logits

    def max_rows(self, longest: int) -> int:  # noqa: ARG002
        """Returns the same limit for any length."""
        return MAX_ROWS

    def claim(self, batches: Sequence[Sequence[int]]) -> None:
        """Does nothing: the state travels with each call."""

    def new_rows(self, count: int) -> list[ExplicitRow]:
        """Returns rows with the initial state."""
        return [self.new_moving_row() for _ in range(count)]

    def new_moving_row(self) -> ExplicitRow:
        """Returns a row with the initial state; there are no slots to move between."""
        return ExplicitRow(self._stepper.fresh(), 0)

    def prefill(
        self,
        pieces: Sequence[Ids],
        rows: Sequence[ExplicitRow],
        last: int = 1,  # noqa: ARG002
    ) -> list[RowScores]:
        """Feeds each row a piece; returns scores after its last token alone, whatever `last` is."""
        results = self._stepper.run(pieces, [row.state for row in rows])
        return [
            RowScores(result.logits[None], ExplicitRow(result.state, row.held + len(ids)))
            for result, row, ids in zip(results, rows, pieces, strict=True)
        ]

    def decode(self, tokens: Sequence[int], rows: Sequence[ExplicitRow]) -> list[RowScores]:
        """Feeds each row one token, by the signature `step`."""
        return self.prefill([np.array([token], np.int32) for token in tokens], rows)

    def decode_steps(
        self, tokens: Sequence[int], rows: Sequence[ExplicitRow], budgets: Sequence[int]
    ) -> list[RowTokens]:
        """Decodes greedily with log-probabilities of the whole vocabulary, by the signature `decode`."""
        sampling = Sampling(logprobs=self.manifest.vocabulary_size)
        states, held = [row.state for row in rows], [row.held for row in rows]
        results = self._stepper.decode(tokens, states, held, budgets, sampling=sampling)
        return [
            RowTokens(
                [token for token in result.tokens if token >= 0],
                by_token(result.top_ids, result.top_logprobs),
                ExplicitRow(result.state, row.held + len(result.tokens)),
            )
            for result, row in zip(results, rows, strict=True)
        ]

    def state(self, row: ExplicitRow) -> dict[str, Array]:
        """Returns the row's state tensors."""
        return row.state

    def close(self) -> None:
        """Unloads the servable."""
        self._stepper.close()
