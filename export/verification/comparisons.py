"""Each text in every way that a servable can run it, compared with the plainest one.

That is `alone`: the prompt whole, then token by token, each the likeliest. Other ways are given its tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from tqdm import tqdm

from contract import names
from contract.tensors import Array
from export.errors import VerificationError
from export.signatures.servable import Reference
from export.verification import figures
from export.verification.compared import Compared, log_softmax
from export.verification.difference import Difference, largest, of_all
from export.verification.figures import Figures
from export.verification.runner import Chosen, Ids, Row, Run, Runner
from export.verification.trials import Trials


@dataclass(frozen=True)
class Alone:
    """A text by itself."""

    prompt: Ids
    tokens: Ids
    """That followed: each the likeliest after those before it."""
    scores: Array  # (1 + tokens, vocabulary): after the prompt, and after each token
    state: dict[str, Array]
    """At the end."""

    @property
    def text(self) -> Ids:
        return np.concatenate([self.prompt, self.tokens])


def measure(runner: Runner, trials: Trials) -> tuple[Figures, list[Alone]]:
    """How each way went, and the texts by themselves, for a reference to judge."""
    groups = list(trials.groups(runner))
    runner.claim([[trials.text_length(trials.prompts[i]) for i in group] for group in groups])
    progress = tqdm(trials.prompts, desc="verifying", unit="prompt", leave=False, disable=None)
    texts = [_alone(runner, prompt, trials.tokens) for prompt in progress]
    ways = _Ways(runner, texts, groups)
    ways.whole()
    ways.pieces()
    ways.together()
    if runner.most_steps:
        ways.several()
    scale = max(float(np.abs(text.scores).max()) for text in texts)
    return Figures(ways.compared, ways.states, ways.drift, scale), texts


def against(reference: Reference, runner: Runner, texts: Sequence[Alone]) -> Compared:
    """The texts by themselves against what a reference says of them."""
    logits = reference([text.text for text in texts], len(texts[0].scores))
    pairs = ((text.scores, runner.scores_of(each)) for text, each in zip(texts, logits, strict=True))
    return Compared.of(runner.scores, pairs)


def _alone(runner: Runner, prompt: Ids, count: int) -> Alone:
    run = runner.prefill([prompt], runner.fresh(1))[0]
    scores, tokens = [run.scores[-1]], []
    for _ in range(count):
        tokens.append(int(scores[-1].argmax()))
        run = runner.decode(tokens[-1:], [run.row])[0]
        scores.append(run.scores[-1])
    text = Alone(prompt, np.array(tokens, np.int32), np.stack(scores), runner.state(run.row))
    _check_values(runner.scores, text)
    return text


def _check_values(name: str, text: Alone) -> None:
    """VerificationError for what no decode loop can go on with."""
    # A state that is none makes scores that are none.
    for each, value in {**text.state, name: text.scores}.items():
        if not np.isfinite(value).all():
            after = f"a prompt of {len(text.prompt)} tokens and {len(text.tokens)} single ones"
            raise VerificationError(f"{each!r} is nan or infinite after {after}")
    if name == names.LOGITS and _are_probabilities(text.scores):
        raise VerificationError(
            f"{name!r} are probabilities, which sum to 1: give what their softmax is taken of"
        )


def _are_probabilities(scores: Array) -> bool:
    summed = np.allclose(scores.sum(axis=1), 1, atol=1e-3)
    return scores.shape[1] > 1 and bool((scores >= 0).all()) and summed


@dataclass
class _Ways:
    """The ways, and what they gave so far."""

    runner: Runner
    texts: Sequence[Alone]
    groups: Sequence[Sequence[int]]
    """Which texts go into one call."""
    compared: dict[str, Compared] = field(default_factory=dict)
    states: dict[str, Difference] = field(default_factory=dict)
    drift: Difference | None = None

    def whole(self) -> None:
        """Each text at once."""
        drifts: list[Difference] = []

        def pairs() -> Iterator[tuple[Array, Array]]:
            for text in self.texts:
                run = self.runner.prefill([text.text], self.runner.fresh(1), len(text.scores))[0]
                drifts.extend(self._state_difference(run.row, text))
                yield text.scores[-len(run.scores) :], run.scores

        self.compared[figures.DECODE] = Compared.of(self.runner.scores, pairs())
        self.drift = largest(drifts) if drifts else None

    def pieces(self) -> None:
        """Each prompt in up to three pieces, in another place, and then one token more."""
        pairs = ((np.concatenate(list(self._pieces(text))), text.scores[:2]) for text in self.texts)
        self.compared[figures.PIECES] = Compared.of(self.runner.scores, pairs)

    def _pieces(self, text: Alone) -> Iterator[Array]:
        row, length = self.runner.aside(), len(text.prompt)
        for start, end in pairwise(sorted({0, length // 3, length - 1, length})):
            run = self.runner.prefill([text.prompt[start:end]], [row])[0]
            row = run.row
        yield run.scores
        yield self.runner.decode(text.tokens[:1].tolist(), [row])[0].scores

    def together(self) -> None:
        """Several texts in each call."""
        differences: list[Difference] = []

        def pairs() -> Iterator[tuple[Array, Array]]:
            for group in self.groups:
                texts = [self.texts[i] for i in group]
                for text, (scores, row) in zip(texts, self._batch(texts), strict=True):
                    differences.extend(self._state_difference(row, text))
                    yield scores, text.scores

        self.compared[figures.BATCH] = Compared.of(self.runner.scores, pairs())
        if differences:
            self.states[figures.BATCH_STATE] = largest(differences)

    def _batch(self, texts: Sequence[Alone]) -> list[tuple[Array, Row]]:
        """Scores of all positions of each, and where it stands at the end."""
        runs = self._prompts(texts)
        scores = [[run.scores[-1]] for run in runs]
        for i in range(len(texts[0].tokens)):
            runs = self.runner.decode([int(text.tokens[i]) for text in texts], [run.row for run in runs])
            for each, run in zip(scores, runs, strict=True):
                each.append(run.scores[-1])
        return [(np.stack(each), run.row) for each, run in zip(scores, runs, strict=True)]

    def _prompts(self, texts: Sequence[Alone]) -> list[Run]:
        return self.runner.prefill([text.prompt for text in texts], self.runner.fresh(len(texts)))

    def several(self) -> None:
        """Many tokens in each call, and ragged numbers of them, of several texts."""
        differences: list[Difference] = []
        shortfalls: list[Difference] = []

        def pairs() -> Iterator[tuple[Array, Array]]:
            for group in self.groups:
                texts = [self.texts[i] for i in group]
                for text, chosen in zip(texts, self._chosen(texts), strict=True):
                    same = _same(chosen.tokens, text)
                    shortfalls.append(_shortfall(chosen.tokens[: same + 1], text))
                    if same == len(text.tokens):
                        differences.extend(self._state_difference(chosen.row, text))
                    yield chosen.logprobs[:same], log_softmax(text.scores[1 : same + 1])

        compared = Compared.of("log-probabilities", pairs())
        worst = largest([compared.error, *shortfalls])
        self.compared[figures.STEPS] = replace(compared, error=worst)
        if differences:
            self.states[figures.STEPS_STATE] = largest(differences)

    def _chosen(self, texts: Sequence[Alone]) -> list[Chosen]:
        count = len(texts[0].tokens)
        done = [
            Chosen([int(text.tokens[0])], np.empty([0, text.scores.shape[1]], np.float32), run.row)
            for text, run in zip(texts, self._prompts(texts), strict=True)
        ]
        # Ragged at first; those that have all of theirs are left out then.
        most = [max(1, count - 3 * i) for i in range(len(texts))]
        while any(len(each.logprobs) < count for each in done):
            budgets = [
                min(most[i], self.runner.most_steps, count - len(each.logprobs))
                for i, each in enumerate(done)
            ]
            done = self._further(done, budgets)
            most = [count] * len(texts)
        return done

    def _further(self, done: Sequence[Chosen], budgets: Sequence[int]) -> list[Chosen]:
        given = self.runner.several([each.tokens[-1] for each in done], [each.row for each in done], budgets)
        for new, budget in zip(given, budgets, strict=True):
            if len(new.tokens) != budget:
                raise VerificationError(f"several steps: {len(new.tokens)} tokens came of {budget}")
        return [
            Chosen(
                old.tokens + new.tokens,
                np.concatenate([old.logprobs, new.logprobs[: len(new.tokens)]]),
                new.row,
            )
            for old, new in zip(done, given, strict=True)
        ]

    def _state_difference(self, row: Row, text: Alone) -> list[Difference]:
        state = self.runner.state(row)
        return [of_all(state, text.state)] if state else []


def _same(tokens: Sequence[int], text: Alone) -> int:
    """How many tokens were fed before, if ever, others were chosen: what follows is another text."""
    fed = zip(tokens, text.tokens, strict=False)
    return next((i for i, (given, expected) in enumerate(fed) if given != expected), len(text.tokens))


def _shortfall(tokens: Sequence[int], text: Alone) -> Difference:
    """How far what was chosen lies below the likeliest; the first token was given."""
    pairs = zip(tokens[1:], text.scores[1:], strict=False)
    return largest(Difference(float(s.max() - s[token]), names.TOKENS) for token, s in pairs)
