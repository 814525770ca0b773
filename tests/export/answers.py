"""Reads the transformers library's results in each golden case, which tests/reference writes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.export import samples

Ids = npt.NDArray[np.int32]
Array = npt.NDArray[np.float32]

LENGTHS = (1, 7, 33, 130)
EVERY = 8
"""Of this many logits, one is recorded in bfloat16 too."""


@dataclass(frozen=True)
class Answers:
    name: str
    context: int | None
    """The context length of the export."""
    prompt: Ids
    logits: Array  # (time, vocabulary): after each token of the prompt
    greedy_prompt: int
    """The number of prompt tokens after which the greedy ids were generated."""
    greedy: Ids
    bfloat16: npt.NDArray[np.float16]
    """Every eighth of the logits of the library's bfloat16."""
    bfloat16_kl: float
    """The mean divergence of these from float32."""

    @property
    def prompts(self) -> Sequence[Ids]:
        """The prompts of `LENGTHS` tokens."""
        return [self.prompt[:length] for length in LENGTHS]

    @property
    def lasts(self) -> Array:  # (prompts, vocabulary)
        """The logits after each of `prompts`."""
        return self.logits[np.array(LENGTHS) - 1]

    @property
    def beginning(self) -> Ids:
        """The prompt of the greedy ids."""
        return self.prompt[: self.greedy_prompt]


def read(case: str) -> Answers:
    directory = samples.MODELS / case
    about = json.loads((directory / "case.json").read_text())
    golden = np.load(directory / "golden.npz")
    return Answers(
        name=case,
        context=about["context"],
        prompt=golden["prompt"],
        logits=golden["logits"],
        greedy_prompt=about["greedy_prompt"],
        greedy=golden["greedy"],
        bfloat16=golden["bfloat16"],
        bfloat16_kl=about["bfloat16_kl"],
    )
