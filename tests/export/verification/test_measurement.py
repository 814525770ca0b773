"""Every way of running a sequence is compared with the baseline, and a fault of one fails its own claim.

The model looks at the last token alone: after token t the likeliest is t + 1, before t + 2, and so on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from contract.manifest import Manifest
from contract.tensors import Array, Ids
from export.errors import VerificationError
from export.verification import claims, measurement
from export.verification.claims import Measurements, Tolerance
from export.verification.prompts import TrialPrompts
from export.verification.runner import RowScores, RowTokens
from export.verification.score_comparison import log_softmax

VOCABULARY = 20
TRIALS = TrialPrompts(tuple(np.arange(length, dtype=np.int32) for length in (1, 4, 9)), tokens=8)


def _scores(token: int) -> Array:
    return -((np.arange(VOCABULARY) - token - 1) % VOCABULARY).astype(np.float32)


@dataclass
class _Runner:
    """A runner whose row handles are the tokens fed so far."""

    skips: int = 0
    """How many of the likeliest tokens `decode_steps` skips."""
    max_steps: int = 3
    fault_of_batches: float = 0.0
    fault_of_pieces: float = 0.0
    score_name: str = "logits"

    def __post_init__(self) -> None:
        self.manifest = Manifest("m", "f", VOCABULARY, 64, ())
        self.tokenizer = b""

    def expected_scores(self, logits: Array) -> Array:
        return logits

    def max_rows(self, longest: int) -> int:  # noqa: ARG002
        return 2

    def claim(self, batches: Sequence[Sequence[int]]) -> None:
        assert batches == [[9, 12], [9, 17]]

    def new_rows(self, count: int) -> list[tuple[int, ...]]:
        return [()] * count

    def new_moving_row(self) -> tuple[int, ...]:
        return ()

    def prefill(
        self, pieces: Sequence[Ids], rows: Sequence[tuple[int, ...]], last: int = 1
    ) -> list[RowScores]:
        return self._run(pieces, rows, last, self.fault_of_pieces if rows[0] else 0)

    def decode(self, tokens: Sequence[int], rows: Sequence[tuple[int, ...]]) -> list[RowScores]:
        return self._run([np.array([token], np.int32) for token in tokens], rows, 1, 0)

    def _run(
        self, pieces: Sequence[Ids], rows: Sequence[tuple[int, ...]], last: int, fault: float
    ) -> list[RowScores]:
        after = [(*row, *ids.tolist()) for row, ids in zip(rows, pieces, strict=True)]
        added = (fault + self.fault_of_batches * (len(rows) > 1)) * np.arange(VOCABULARY)
        return [RowScores(np.stack([_scores(token) + added for token in row[-last:]]), row) for row in after]

    def decode_steps(
        self, tokens: Sequence[int], rows: Sequence[tuple[int, ...]], budgets: Sequence[int]
    ) -> list[RowTokens]:
        assert max(budgets) <= self.max_steps
        return [self._chosen(*each) for each in zip(tokens, rows, budgets, strict=True)]

    def _chosen(self, token: int, row: tuple[int, ...], budget: int) -> RowTokens:
        chosen, fed = [], [token]
        for _ in range(budget):
            chosen.append((fed[-1] + 1 + self.skips) % VOCABULARY)
            fed.append(chosen[-1])
        logprobs = [log_softmax(_scores(t)) for t in fed[:budget]]
        return RowTokens(chosen, np.array(logprobs).reshape(-1, VOCABULARY), (*row, *fed[:budget]))

    def state(self, row: tuple[int, ...]) -> dict[str, Array]:
        return {"seen": np.array(sum(row))}

    def close(self) -> None:
        pass


def _measured(runner: _Runner) -> Measurements:
    return measurement.measure(runner, TRIALS)[0]


def _check(measured: Measurements) -> None:
    claims.check(measured, Tolerance(error=1e-3, kl=1e-3))


def test_a_sound_runner_passes_in_every_way() -> None:
    measured = _measured(_Runner())
    _check(measured)
    # 8 tokens and the prompt's end, of 3 texts; the shortest is in both batches.
    assert {claim: each.positions for claim, each in measured.scores.items()} == {
        "prefill and decode": 27,
        "in pieces": 6,
        "ragged batch": 36,
        "several steps": 32,
    }
    assert measured.states.keys() == {"state of a ragged batch", "state after several steps"}


def test_without_several_steps_nothing_is_claimed_of_them() -> None:
    assert "several steps" not in _measured(_Runner(max_steps=0)).scores


@pytest.mark.parametrize(
    ("runner", "claim"),
    [
        (_Runner(fault_of_batches=0.1), "ragged batch: max abs error 1.90e+00 of 'logits'"),
        (_Runner(fault_of_pieces=0.1), "in pieces: max abs error 1.90e+00 of 'logits'"),
        (_Runner(skips=1), "several steps: max abs error 1.00e+00 of 'tokens'"),
    ],
)
def test_a_fault_shows_in_its_own_claim(runner: _Runner, claim: str) -> None:
    with pytest.raises(VerificationError, match=f"^{claim.replace('+', '.')}"):
        _check(_measured(runner))


def test_a_reference_is_asked_once_for_the_positions_that_are_compared() -> None:
    asked = []

    def reference(texts: Sequence[Ids], last: int = 0) -> list[Array]:
        asked.append([len(text) for text in texts])
        return [np.stack([_scores(token) for token in text[-last:]]) for text in texts]

    runner = _Runner()
    measured, baselines = measurement.measure(runner, TRIALS)
    compared = measurement.compare_with_reference(reference, runner, baselines)
    assert asked == [[9, 12, 17]]
    assert (compared.positions, compared.error.size, compared.agreement) == (27, 0, 1)
    assert replace(measured, scale=0).with_reference(compared).scores.keys() >= {"reference"}
