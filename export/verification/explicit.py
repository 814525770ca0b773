"""Servables with explicit state, as the verifier runs them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contract import names
from contract.tensors import Array
from export.verification.pool_stepper import Sampling, by_token
from export.verification.runner import Chosen, Ids, Run
from export.verification.stepper import State, Stepper

MOST_ROWS = 8


@dataclass(frozen=True)
class Row:
    state: State
    held: int
    """Tokens that the state has seen."""


class ExplicitRunner:
    """`export.verification.runner.Runner`."""

    scores = names.LOGITS

    def __init__(self, directory: Path) -> None:
        self._stepper = stepper = Stepper(directory)
        self.manifest = stepper.manifest
        self.tokenizer = stepper.tokenizer
        self.most_steps = stepper.manifest.decode_steps

    def scores_of(self, logits: Array) -> Array:
        return logits

    def most_rows(self, longest: int) -> int:  # noqa: ARG002
        return MOST_ROWS

    def claim(self, batches: Sequence[Sequence[int]]) -> None:
        pass

    def fresh(self, count: int) -> list[Row]:
        return [self.aside() for _ in range(count)]

    def aside(self) -> Row:
        return Row(self._stepper.fresh(), 0)

    def prefill(self, pieces: Sequence[Ids], rows: Sequence[Row], last: int = 1) -> list[Run]:  # noqa: ARG002
        results = self._stepper.run(pieces, [row.state for row in rows])
        return [
            Run(result.logits[None], Row(result.state, row.held + len(ids)))
            for result, row, ids in zip(results, rows, pieces, strict=True)
        ]

    def decode(self, tokens: Sequence[int], rows: Sequence[Row]) -> list[Run]:
        return self.prefill([np.array([token], np.int32) for token in tokens], rows)

    def several(self, tokens: Sequence[int], rows: Sequence[Row], budgets: Sequence[int]) -> list[Chosen]:
        sampling = Sampling(logprobs=self.manifest.vocabulary_size)
        states, held = [row.state for row in rows], [row.held for row in rows]
        given = self._stepper.decode(tokens, states, held, budgets, sampling=sampling)
        return [
            Chosen(
                [token for token in each.tokens if token >= 0],
                by_token(each.top_ids, each.top_logprobs),
                Row(each.state, row.held + len(each.tokens)),
            )
            for each, row in zip(given, rows, strict=True)
        ]

    def state(self, row: Row) -> dict[str, Array]:
        return row.state

    def close(self) -> None:
        self._stepper.close()
