"""Checks a written resident servable before it is published, by the tokens that it chooses greedily.

Each way of reaching the same tokens (prompts whole or in pieces, alone or in a ragged batch, one step or many
in a call, in slots that are moved) is judged by the reference, which is given the tokens that were chosen: at
each of them it tells how far below its own choice they are. Runs the servable by the contract alone.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from tqdm import tqdm

from contract.manifest import Manifest
from export.errors import VerificationError
from export.pool_stepper import Ids, PoolStepper
from export.servable import Reference, Servable

PROMPT_LENGTHS = (1, 7, 33)
DECODED = 12
"""Tokens that follow each prompt."""
TOLERANCE = 1e-3
"""How far below the reference's best a choice may lie where nothing but float32's rounding differs."""

logger = logging.getLogger(__name__)

Chosen = list[list[int]]
"""For each prompt, the tokens that followed."""


@dataclass(frozen=True)
class Figures:
    """How a way of running went."""

    shortfall: float
    """The largest distance, in logits, of a chosen token below the reference's likeliest."""
    agreement: float
    """The part of the tokens that the reference would have chosen."""

    def __str__(self) -> str:
        return f"{self.agreement:.1%} (shortfall {self.shortfall:.1e})"


def verify(directory: Path, servable: Servable) -> dict[str, Figures]:
    """How each way to run what lies in `directory` went; VerificationError where it is not `servable`."""
    stepper = PoolStepper(directory)
    if stepper.manifest != servable.manifest or stepper.tokenizer != servable.tokenizer:
        raise VerificationError("the manifest signature does not answer what was written")
    assert servable.reference is not None
    figures = measure(stepper, servable.reference)
    logger.info("verified, greedy agreement: %s", ", ".join(f"{way} {f}" for way, f in figures.items()))
    check(figures, TOLERANCE if servable.exact else np.inf)
    return figures


def check(figures: dict[str, Figures], allowed: float) -> None:
    """VerificationError for a choice that rounding does not explain."""
    for way, each in figures.items():
        if not each.shortfall <= allowed:
            raise VerificationError(
                f"{way}: a chosen token lies {each.shortfall:.2e} below the reference's, "
                f"above the allowed {allowed:.2e}"
            )


def measure(stepper: PoolStepper, reference: Reference) -> dict[str, Figures]:
    prompts = _prompts(stepper.manifest)
    stepper.claim(2 * len(prompts))
    judge = _Judge(reference, prompts)
    progress = tqdm(WAYS.items(), desc="verifying", unit="way", leave=False, disable=None)
    chosen = {way: run(stepper, prompts) for way, run in progress}
    judge.ask(chosen.values())
    return {way: judge.figures(each) for way, each in chosen.items()}


def _prompts(manifest: Manifest) -> list[Ids]:
    """Random ids: some short, and some that just fit into blocks, so that decoding goes on in the next."""
    assert manifest.pool is not None
    most = manifest.context_length - DECODED
    blocks = (1, 2, manifest.pool.positions // manifest.pool.block_size)
    ends = [count * manifest.pool.block_size - DECODED // 2 for count in blocks]
    lengths = sorted({min(length, most) for length in (*PROMPT_LENGTHS, *ends)})
    rng = np.random.default_rng(0)
    return [rng.integers(0, manifest.vocabulary_size, length).astype(np.int32) for length in lengths]


def _alone(stepper: PoolStepper, prompts: Sequence[Ids]) -> Chosen:
    """Each prompt whole, in slot 0, and one step in a call."""
    chosen = []
    for prompt in prompts:
        tokens = [int(stepper.prefill([prompt], [0])[0])]
        while len(tokens) < DECODED:
            held = len(prompt) + len(tokens) - 1
            tokens += stepper.decode(tokens[-1:], [held], [1])[0].tolist()
        chosen.append(tokens)
    return chosen


def _together(stepper: PoolStepper, prompts: Sequence[Ids]) -> Chosen:
    """All prompts in one batch, in slots in reverse, and all steps in one call."""
    rows = list(range(len(prompts)))
    first = stepper.prefill(prompts, rows[::-1])[::-1]
    held = [len(prompt) for prompt in prompts[::-1]]
    rest = stepper.decode(first, held, [DECODED - 1] * len(rows))
    return [[int(a), *b.tolist()] for a, b in zip(first, rest, strict=True)][::-1]


def _in_pieces(stepper: PoolStepper, prompts: Sequence[Ids]) -> Chosen:
    """Each prompt in three pieces, in the last slot, then moved to the first one; all steps in one call."""
    last = 2 * len(prompts) - 1
    chosen = []
    for prompt in prompts:
        cuts = sorted({0, len(prompt) // 3, len(prompt) - 1, len(prompt)})
        for start, end in pairwise(cuts):
            first = stepper.prefill([prompt[start:end]], [last], [start])
        stepper.move([last], [0])
        rest = stepper.decode(first, [len(prompt)], [DECODED - 1])
        chosen.append([int(first[0]), *rest[0].tolist()])
    return chosen


WAYS: dict[str, Callable[[PoolStepper, Sequence[Ids]], Chosen]] = {
    "alone": _alone,
    "ragged batch": _together,
    "in pieces and moved": _in_pieces,
}


class _Judge:
    """The reference's opinion of tokens that follow the prompts; asked once for each answer."""

    def __init__(self, reference: Reference, prompts: Sequence[Ids]) -> None:
        self._reference = reference
        self._prompts = prompts
        self._known: dict[tuple[int, ...], np.ndarray] = {}

    def ask(self, answers: Iterable[Chosen]) -> None:
        """The reference of all of them, each once: it may read its weights anew whenever it is asked."""
        new = {(i, *tokens) for chosen in answers for i, tokens in enumerate(chosen)} - self._known.keys()
        keys = sorted(new)
        texts = [np.concatenate([self._prompts[i], np.array(t[:-1], np.int32)]) for i, *t in keys]
        for (prompt, *tokens), logits in zip(keys, self._reference(texts), strict=True):
            last = logits[-len(tokens) :]
            self._known[(prompt, *tokens)] = last.max(axis=1) - last[np.arange(len(tokens)), tokens]

    def figures(self, chosen: Chosen) -> Figures:
        """How the answers went, about which the reference was asked."""
        together = np.concatenate([self._known[(i, *tokens)] for i, tokens in enumerate(chosen)])
        return Figures(float(np.max(together)), float((together == 0).mean()))
