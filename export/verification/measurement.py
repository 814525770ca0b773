"""Measures how far apart the ways lie in which a servable can run the same sequence.

The baseline feeds a prompt at once, alone in its call, and then decodes greedily, token by token. Every other
way is fed the baseline's tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from tqdm import tqdm

from contract import names
from contract.tensors import Array, Ids
from export.errors import VerificationError
from export.signatures.servable import Reference
from export.verification import claims
from export.verification.claims import Measurements
from export.verification.difference import Difference, largest, of_all
from export.verification.prompts import TrialPrompts
from export.verification.runner import RowHandle, RowScores, RowTokens, Runner
from export.verification.score_comparison import ScoreComparison, log_softmax


@dataclass(frozen=True)
class Baseline:
    """A sequence run alone, token by token after its prompt."""

    prompt: Ids
    tokens: Ids
    """The greedy tokens after the prompt."""
    scores: Array  # (1 + tokens, vocabulary): after the prompt, and after each token
    state: dict[str, Array]
    """The state after the last token."""

    @property
    def ids(self) -> Ids:
        """The prompt and the tokens after it."""
        return np.concatenate([self.prompt, self.tokens])


def measure(runner: Runner, prompts: TrialPrompts) -> tuple[Measurements, list[Baseline]]:
    """Runs all prompts in every way; returns the measurements, and the baselines for a reference.

    Shows a progress bar on a terminal. Raises VerificationError where the servable cannot be run.
    """
    groups = list(prompts.groups(runner))
    runner.claim([[prompts.final_length(prompts.prompts[i]) for i in group] for group in groups])
    passes = 3 * len(prompts.prompts) + (2 if runner.max_steps else 1) * len(groups)
    with tqdm(total=passes, desc="verifying", unit="pass", leave=False, disable=None) as progress:
        baselines = []
        for prompt in prompts.prompts:
            baselines.append(_baseline(runner, prompt, prompts.tokens))
            progress.update()
        measurement = _Measurement(runner, baselines, groups, progress)
        measurement.compare_prefill()
        measurement.compare_pieces()
        measurement.compare_batches()
        if runner.max_steps:
            measurement.compare_several_steps()
    scale = max(float(np.abs(baseline.scores).max()) for baseline in baselines)
    return Measurements(measurement.scores, measurement.states, measurement.drift, scale), baselines


def compare_with_reference(
    reference: Reference, runner: Runner, baselines: Sequence[Baseline]
) -> ScoreComparison:
    """Compares the baselines' scores with those that follow from the reference's logits."""
    logits = reference([baseline.ids for baseline in baselines], len(baselines[0].scores))
    pairs = (
        (baseline.scores, runner.expected_scores(each))
        for baseline, each in zip(baselines, logits, strict=True)
    )
    return ScoreComparison.of(runner.score_name, pairs)


def _baseline(runner: Runner, prompt: Ids, count: int) -> Baseline:
    result = runner.prefill([prompt], runner.new_rows(1))[0]
    scores, tokens = [result.scores[-1]], []
    for _ in range(count):
        tokens.append(int(scores[-1].argmax()))
        result = runner.decode(tokens[-1:], [result.row])[0]
        scores.append(result.scores[-1])
    baseline = Baseline(prompt, np.array(tokens, np.int32), np.stack(scores), runner.state(result.row))
    _check_values(runner.score_name, baseline)
    return baseline


def _check_values(score_name: str, baseline: Baseline) -> None:
    """Raises VerificationError for values with which no decode loop can continue."""
    # NaN in the state makes the scores NaN: the state is checked first.
    for name, value in {**baseline.state, score_name: baseline.scores}.items():
        if not np.isfinite(value).all():
            after = f"a prompt of {len(baseline.prompt)} tokens and {len(baseline.tokens)} single ones"
            raise VerificationError(f"{name!r} is nan or infinite after {after}")
    if score_name == names.LOGITS and _are_probabilities(baseline.scores):
        raise VerificationError(
            f"{score_name!r} are probabilities, which sum to 1: return the input of their softmax"
        )


def _are_probabilities(scores: Array) -> bool:
    summed = np.allclose(scores.sum(axis=1), 1, atol=1e-3)
    return scores.shape[1] > 1 and bool((scores >= 0).all()) and summed


@dataclass
class _Measurement:
    """The comparisons of every way with the baselines, as far as they were made."""

    runner: Runner
    baselines: Sequence[Baseline]
    groups: Sequence[Sequence[int]]
    """The indices of baselines that share a call."""
    progress: "tqdm[Any]"
    scores: dict[str, ScoreComparison] = field(default_factory=dict)
    states: dict[str, Difference] = field(default_factory=dict)
    drift: Difference | None = None

    def compare_prefill(self) -> None:
        """Feeds each whole sequence in one call. This is the expected result, the baseline the actual one."""
        drifts: list[Difference] = []

        def pairs() -> Iterator[tuple[Array, Array]]:
            for baseline in self.baselines:
                last = len(baseline.scores)
                result = self.runner.prefill([baseline.ids], self.runner.new_rows(1), last)[0]
                drifts.extend(self._state_difference(result.row, baseline))
                yield baseline.scores[-len(result.scores) :], result.scores
                self.progress.update()

        self.scores[claims.DECODE] = ScoreComparison.of(self.runner.score_name, pairs())
        self.drift = largest(drifts) if drifts else None

    def compare_pieces(self) -> None:
        """Feeds each prompt in up to three pieces, then moves the row, then decodes one token."""

        def pairs() -> Iterator[tuple[Array, Array]]:
            for baseline in self.baselines:
                yield np.concatenate(list(self._scores_in_pieces(baseline))), baseline.scores[:2]
                self.progress.update()

        self.scores[claims.PIECES] = ScoreComparison.of(self.runner.score_name, pairs())

    def _scores_in_pieces(self, baseline: Baseline) -> Iterator[Array]:
        row, length = self.runner.new_moving_row(), len(baseline.prompt)
        for start, end in pairwise(sorted({0, length // 3, length - 1, length})):
            result = self.runner.prefill([baseline.prompt[start:end]], [row])[0]
            row = result.row
        yield result.scores
        yield self.runner.decode(baseline.tokens[:1].tolist(), [row])[0].scores

    def compare_batches(self) -> None:
        """Runs several sequences in each call, of different lengths."""
        differences: list[Difference] = []

        def pairs() -> Iterator[tuple[Array, Array]]:
            for baselines in self._batches():
                for baseline, (scores, row) in zip(baselines, self._run_batch(baselines), strict=True):
                    differences.extend(self._state_difference(row, baseline))
                    yield scores, baseline.scores

        self.scores[claims.BATCH] = ScoreComparison.of(self.runner.score_name, pairs())
        if differences:
            self.states[claims.BATCH_STATE] = largest(differences)

    def _batches(self) -> Iterator[Sequence[Baseline]]:
        for group in self.groups:
            yield [self.baselines[i] for i in group]
            self.progress.update()

    def _run_batch(self, baselines: Sequence[Baseline]) -> list[tuple[Array, RowHandle]]:
        """Returns each row's scores at all positions, and the row after its last token."""
        results = self._prefill_prompts(baselines)
        scores = [[result.scores[-1]] for result in results]
        for i in range(len(baselines[0].tokens)):
            tokens = [int(baseline.tokens[i]) for baseline in baselines]
            results = self.runner.decode(tokens, [result.row for result in results])
            for each, result in zip(scores, results, strict=True):
                each.append(result.scores[-1])
        return [(np.stack(each), result.row) for each, result in zip(scores, results, strict=True)]

    def _prefill_prompts(self, baselines: Sequence[Baseline]) -> list[RowScores]:
        rows = self.runner.new_rows(len(baselines))
        return self.runner.prefill([baseline.prompt for baseline in baselines], rows)

    def compare_several_steps(self) -> None:
        """Decodes several sequences in calls of many steps, at first of a different number for each row."""
        differences: list[Difference] = []
        shortfalls: list[Difference] = []

        def pairs() -> Iterator[tuple[Array, Array]]:
            for baselines in self._batches():
                for baseline, decoded in zip(baselines, self._decode_batch(baselines), strict=True):
                    same = _common_tokens(decoded.tokens, baseline)
                    shortfalls.append(_shortfall(decoded.tokens[: same + 1], baseline))
                    if same == len(baseline.tokens):
                        differences.extend(self._state_difference(decoded.row, baseline))
                    yield decoded.logprobs[:same], log_softmax(baseline.scores[1 : same + 1])

        compared = ScoreComparison.of("log-probabilities", pairs())
        worst = largest([compared.error, *shortfalls])
        self.scores[claims.STEPS] = replace(compared, error=worst)
        if differences:
            self.states[claims.STEPS_STATE] = largest(differences)

    def _decode_batch(self, baselines: Sequence[Baseline]) -> list[RowTokens]:
        count = len(baselines[0].tokens)
        done = [
            RowTokens([int(each.tokens[0])], np.empty([0, each.scores.shape[1]], np.float32), result.row)
            for each, result in zip(baselines, self._prefill_prompts(baselines), strict=True)
        ]
        # Ragged at first: then the rows that have all their tokens have a budget of 0.
        most = [max(1, count - 3 * i) for i in range(len(baselines))]
        while any(len(each.logprobs) < count for each in done):
            budgets = [
                min(most[i], self.runner.max_steps, count - len(each.logprobs)) for i, each in enumerate(done)
            ]
            done = self._decode_further(done, budgets)
            most = [count] * len(baselines)
        return done

    def _decode_further(self, done: Sequence[RowTokens], budgets: Sequence[int]) -> list[RowTokens]:
        last = [each.tokens[-1] for each in done]
        results = self.runner.decode_steps(last, [each.row for each in done], budgets)
        for result, budget in zip(results, budgets, strict=True):
            if len(result.tokens) != budget:
                raise VerificationError(
                    f"several steps: a row has {len(result.tokens)} tokens, not its budget of {budget}"
                )
        return [
            RowTokens(
                old.tokens + new.tokens,
                np.concatenate([old.logprobs, new.logprobs[: len(new.tokens)]]),
                new.row,
            )
            for old, new in zip(done, results, strict=True)
        ]

    def _state_difference(self, row: RowHandle, baseline: Baseline) -> list[Difference]:
        state = self.runner.state(row)
        return [of_all(state, baseline.state)] if state else []


def _common_tokens(tokens: Sequence[int], baseline: Baseline) -> int:
    """Returns how many tokens were fed before one differs; scores after that belong to other sequences."""
    fed = zip(tokens, baseline.tokens, strict=False)
    return next((i for i, (actual, expected) in enumerate(fed) if actual != expected), len(baseline.tokens))


def _shortfall(tokens: Sequence[int], baseline: Baseline) -> Difference:
    """Returns how far the chosen tokens' scores lie below the highest; the first token was not chosen."""
    pairs = zip(tokens[1:], baseline.scores[1:], strict=False)
    return largest(Difference(float(s.max() - s[token]), names.TOKENS) for token, s in pairs)
