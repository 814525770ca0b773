"""Resident servables of the golden checkpoints, with blocks so small that short sequences fill several."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from contract.tensors import Ids
from export.hf.load import load_checkpoint
from export.options import ExportOptions
from export.signatures.servable import ExportedModel
from export.verification.pool_stepper import GREEDY, PoolStepper, Sampling
from tests.export import samples

BLOCK_SIZE = 32
SLOTS = 6


def golden(directory: Path, name: str, dtype: str = "float32", block_size: int = BLOCK_SIZE) -> ExportedModel:
    """Returns the model of the golden checkpoint `name`, which is copied to `directory`."""
    samples.golden(directory, name)
    return load_checkpoint(directory, name, ExportOptions(dtype, "resident", block_size=block_size))


def ids(seed: int, length: int) -> Ids:
    return np.random.default_rng(seed).integers(0, 270, length).astype(np.int32)


def generate(
    stepper: PoolStepper,
    prompts: Sequence[Ids],
    count: int,
    sampling: Sampling = GREEDY,
    uniforms: np.ndarray | None = None,  # (rows, count)
) -> list[list[int]]:
    """Returns `count` tokens after each of `prompts`, in slots 0, 1, ..., by one prefill and one decode."""
    numbers = np.zeros((len(prompts), count)) if uniforms is None else uniforms
    first = stepper.prefill(prompts, range(len(prompts)), None, sampling, numbers[:, 0])
    budget = [count - 1] * len(prompts)
    rest = stepper.decode(first, [len(p) for p in prompts], budget, (), sampling, numbers[:, 1:])
    return np.concatenate([first[:, None], rest], axis=1).tolist()
