"""How far a bfloat16 export is from the library's bfloat16; run as a module, a table of all families.

Both round, at places of their own: what the library loses against its float32 is the yardstick.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from export.hf.load import load_checkpoint
from export.options import ExportOptions
from tests.export import answers, divergence, samples
from tests.export.traced import TracedStepper

CASES = samples.plainest()


def divergence_of(case: str, directory: Path) -> float:
    """Mean, over every eighth position of the prompt."""
    golden = answers.read(case)
    checkpoint = samples.seeded(directory / case, case, "bfloat16")
    servable = load_checkpoint(checkpoint, case, ExportOptions("bfloat16", context=golden.context))
    stepper = TracedStepper(servable)
    ends = range(1, len(golden.prompt) + 1, answers.EVERY)
    logits = [result.logits for result in stepper.run([golden.prompt[:end] for end in ends])]
    return divergence.mean_kl(golden.bfloat16, np.stack(logits))


def main() -> int:
    print("| case | KL from the library's bfloat16 | of that from its float32 |\n| --- | --- | --- |")
    for case in samples.cases() if "--all" in sys.argv else CASES:
        with tempfile.TemporaryDirectory() as directory:
            given = divergence_of(case, Path(directory))
        print(f"| {case} | {given:.1e} | {answers.read(case).bfloat16_kl:.1e} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
