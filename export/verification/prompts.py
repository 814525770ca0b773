"""The prompts of a verification: random token ids, as many as the reference can process in reasonable time.

There are short prompts; one that takes several matrix tiles; with resident state some that end shortly
before a block of the pool does, so that decoding continues in the next block; and one that ends with the
context.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from contract.manifest import Manifest
from contract.tensors import Ids
from export.verification.runner import Runner

LENGTHS = (1, 7, 33, 130)
TOKENS = 16
"""The tokens decoded after each prompt, by default."""
WORK = 4e11
"""Parameters times tokens: about half a minute of the reference on two cores."""
FEWEST, MOST = 100, 1500
"""Bounds of the tokens in all sequences together, whatever the model's size."""
CALL = 1024
"""The most tokens in a batch, padding included."""


@dataclass(frozen=True)
class TrialPrompts:
    """The prompts of a verification, shortest first."""

    prompts: tuple[Ids, ...]
    tokens: int
    """The tokens decoded after each prompt."""
    skipped: tuple[int, ...] = ()
    """The lengths of prompts that were left out because they would take too long."""

    def final_length(self, prompt: Ids) -> int:
        """Returns the length of the prompt with the tokens after it."""
        return len(prompt) + self.tokens

    def groups(self, runner: Runner) -> Iterator[list[int]]:
        """Yields the indices of prompts that share a call, shortest first.

        Each group has at least two prompts, if there are two: the last one may share a call with the first.
        """
        group: list[int] = []
        for i, prompt in enumerate(self.prompts):
            most = min(CALL // len(prompt), runner.max_rows(self.final_length(prompt)))
            if len(group) >= max(most, 2):
                yield group
                group = []
            group.append(i)
        yield group if len(group) > 1 or len(self.prompts) == 1 else [0, *group]


def choose(manifest: Manifest, parameters: int, tokens: int = TOKENS) -> TrialPrompts:
    """Draws the prompts for a model of so many parameters; fewer `tokens` follow if the context is short."""
    tokens = min(tokens, manifest.context_length - 1)
    lengths = _lengths(manifest, tokens)
    kept = _affordable(lengths, tokens, min(MOST, max(FEWEST, int(WORK / max(parameters, 1)))))
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, manifest.vocabulary_size, length).astype(np.int32) for length in kept]
    return TrialPrompts(tuple(prompts), tokens, tuple(lengths[len(kept) :]))


def _lengths(manifest: Manifest, tokens: int) -> list[int]:
    most = manifest.context_length - tokens
    ends = [most]
    if manifest.pool is not None:
        last = manifest.pool.positions // manifest.pool.block_size
        ends += [count * manifest.pool.block_size - tokens // 2 for count in (1, 2, last)]
    return sorted({min(length, most) for length in (*LENGTHS, *ends)})


def _affordable(lengths: Sequence[int], tokens: int, budget: int) -> list[int]:
    """Returns the shortest lengths within the budget, and at least two of them: a batch needs two."""
    ends = np.cumsum([length + tokens for length in lengths])
    return list(lengths[: max(2, int((ends <= budget).sum()))])
