"""How far an export with int8 is from the library's float32; as a module, a table of all families.

Weights are int8, or keys and values, or both. The yardstick is what the library's bfloat16 loses against its
float32.
"""

import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from contract.manifest import EXPLICIT, RESIDENT
from contract.tensors import Array, Ids
from export.hf.load import load_checkpoint
from export.options import FLOAT, INT8, ExportOptions
from export.signatures.servable import ExportedModel
from tests.export import answers, divergence, samples
from tests.export.traced import TracedPool, TracedStepper

CASES = samples.plainest()
VARIANTS = {"weights": (INT8, FLOAT), "keys and values": (FLOAT, INT8), "both": (INT8, INT8)}
"""By what is int8: the options of weights, and of keys and values."""
LOSSES, LOSSES_OF_EXPERTS = 15, 40
KEYS_VALUES_LOSSES, KEYS_VALUES_LOSSES_OF_EXPERTS = 2, 20
"""The divergence that tests allow, in units of what the library's bfloat16 loses; the second line is for int8
keys and values with float weights.

A router near to a tie chooses other experts for a rounded input.
"""


class Accuracy(NamedTuple):
    """Over every position of the prompt."""

    kl: float
    agreement: float
    """The fraction of positions at which the likeliest token is the library's."""


def accuracy_of(case: str, directory: Path, weights: str = INT8, keys_values: str = FLOAT) -> Accuracy:
    golden = answers.read(case)
    layout = RESIDENT if keys_values == INT8 else EXPLICIT
    options = ExportOptions("float32", layout, golden.context, weights=weights, keys_values=keys_values)
    model = load_checkpoint(samples.seeded(directory / case, case), case, options)
    logits = _after_each_token(model, golden.prompt)
    agreement = (logits.argmax(axis=1) == golden.logits.argmax(axis=1)).mean()
    return Accuracy(divergence.mean_kl(golden.logits, logits), float(agreement))


def _after_each_token(model: ExportedModel, prompt: Ids) -> Array:
    if model.manifest.state_layout == EXPLICIT:
        prompts = [prompt[: end + 1] for end in range(len(prompt))]
        return np.stack([result.logits for result in TracedStepper(model).run(prompts)])
    pool = TracedPool(model)
    pool.claim(1)
    return pool.prefill([prompt], [0], [0])[0]


def allowed_kl(case: str, weights: str = INT8) -> float:
    dense, experts = LOSSES, LOSSES_OF_EXPERTS
    if weights == FLOAT:
        dense, experts = KEYS_VALUES_LOSSES, KEYS_VALUES_LOSSES_OF_EXPERTS
    losses = experts if case.startswith(("mixtral", "qwen3_moe")) else dense
    return losses * answers.read(case).bfloat16_kl


def main() -> int:
    print("| case | KL from the library's float32, and greedy agreement: " + " | ".join(VARIANTS), end="")
    print(" | KL of the library's bfloat16 |\n|" + " --- |" * (len(VARIANTS) + 2))
    for case in samples.cases() if "--all" in sys.argv else CASES:
        print(f"| {case} ", end="")
        for weights, keys_values in VARIANTS.values():
            with tempfile.TemporaryDirectory() as directory:
                kl, agreement = accuracy_of(case, Path(directory), weights, keys_values)
            print(f"| {kl:.1e}, {agreement:.1%} ", end="")
        print(f"| {answers.read(case).bfloat16_kl:.1e} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
