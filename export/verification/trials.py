"""Which texts are tried: prompts of random ids, as long as the reference can read them in reasonable time.

Short ones, one that takes several matrix tiles, some that just fit into blocks of a pool, so that decoding
goes on in the next, and one that ends with the context.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from contract.manifest import Manifest
from export.verification.runner import Ids, Runner

LENGTHS = (1, 7, 33, 130)
TOKENS = 16
"""That follow each prompt."""
WORK = 4e11
"""Parameters times tokens: half a minute or so of the reference, on two cores."""
FEWEST, MOST = 100, 1500
"""Tokens of all texts together, whatever the model's size."""
CALL = 1024
"""Tokens of a batch, padding included."""


@dataclass(frozen=True)
class Trials:
    """Prompts, shortest first."""

    prompts: tuple[Ids, ...]
    tokens: int
    """That follow each."""
    skipped: tuple[int, ...] = ()
    """Lengths of prompts that would have taken too long."""

    def text_length(self, prompt: Ids) -> int:
        return len(prompt) + self.tokens

    def groups(self, runner: Runner) -> Iterator[list[int]]:
        """Indices of prompts that go into one call, shortest first; no prompt is without company."""
        group: list[int] = []
        for i, prompt in enumerate(self.prompts):
            most = min(CALL // len(prompt), runner.most_rows(self.text_length(prompt)))
            if len(group) >= max(most, 2):
                yield group
                group = []
            group.append(i)
        yield group if len(group) > 1 or len(self.prompts) == 1 else [0, *group]


def choose(manifest: Manifest, parameters: int, tokens: int = TOKENS) -> Trials:
    """For a model with so many parameters; `tokens` follow each prompt, if the context allows."""
    tokens = min(tokens, manifest.context_length - 1)
    lengths = _lengths(manifest, tokens)
    kept = _affordable(lengths, tokens, min(MOST, max(FEWEST, int(WORK / max(parameters, 1)))))
    rng = np.random.default_rng(0)
    prompts = [rng.integers(0, manifest.vocabulary_size, length).astype(np.int32) for length in kept]
    return Trials(tuple(prompts), tokens, tuple(lengths[len(kept) :]))


def _lengths(manifest: Manifest, tokens: int) -> list[int]:
    most = manifest.context_length - tokens
    ends = [most]
    if manifest.pool is not None:
        last = manifest.pool.positions // manifest.pool.block_size
        ends += [count * manifest.pool.block_size - tokens // 2 for count in (1, 2, last)]
    return sorted({min(length, most) for length in (*LENGTHS, *ends)})


def _affordable(lengths: Sequence[int], tokens: int, budget: int) -> list[int]:
    """The shortest, and at least two of them: a batch wants two."""
    ends = np.cumsum([length + tokens for length in lengths])
    return list(lengths[: max(2, int((ends <= budget).sum()))])
