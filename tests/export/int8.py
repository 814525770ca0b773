"""How far an export with int8 weights is from the library's float32; as a module, a table of all families.

The yardstick is what the library's bfloat16 loses against its float32.
"""

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from export.hf.load import load_checkpoint
from export.options import INT8, ExportOptions
from tests.export import answers, divergence, samples
from tests.export.traced import TracedStepper

CASES = samples.plainest()
LOSSES, LOSSES_OF_EXPERTS = 15, 40
"""The divergence that tests allow, in units of what the library's bfloat16 loses.

A router near to a tie chooses other experts for a rounded input.
"""


class Accuracy(NamedTuple):
    """Over every position of the prompt."""

    kl: float
    agreement: float
    """The fraction of positions at which the likeliest token is the library's."""


def accuracy_of(case: str, directory: Path, dtype: str = "float32") -> Accuracy:
    golden = answers.read(case)
    options = ExportOptions(dtype, context=golden.context, weights=INT8)
    stepper = TracedStepper(load_checkpoint(samples.seeded(directory / case, case), case, options))
    prompts = [golden.prompt[: end + 1] for end in range(len(golden.prompt))]
    logits = np.stack([result.logits for result in stepper.run(prompts)])
    agreement = (logits.argmax(axis=1) == golden.logits.argmax(axis=1)).mean()
    return Accuracy(divergence.mean_kl(golden.logits, logits), float(agreement))


def allowed_kl(case: str) -> float:
    losses = LOSSES_OF_EXPERTS if case.startswith(("mixtral", "qwen3_moe")) else LOSSES
    return losses * answers.read(case).bfloat16_kl


def main() -> int:
    print("| case | KL from the library's float32 | greedy agreement | KL of the library's bfloat16 |")
    print("| --- | --- | --- | --- |")
    for case in samples.cases() if "--all" in sys.argv else CASES:
        with tempfile.TemporaryDirectory() as directory:
            kl, agreement = accuracy_of(case, Path(directory))
        print(f"| {case} | {kl:.1e} | {agreement:.1%} | {answers.read(case).bfloat16_kl:.1e} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
