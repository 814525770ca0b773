"""Reads the transformers library's results in each golden case, which tests/reference writes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tests.export import golden_files, samples

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
    golden = golden_files.read(samples.MODELS, case)
    return Answers(
        name=case,
        context=golden.case["context"],
        prompt=golden.answers["prompt"],
        logits=golden.answers["logits"],
        greedy_prompt=golden.case["greedy_prompt"],
        greedy=golden.answers["greedy"],
        bfloat16=golden.answers["bfloat16"],
        bfloat16_kl=golden.case["bfloat16_kl"],
    )
