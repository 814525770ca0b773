"""Resident servables of the golden checkpoints, with blocks so small that short sequences fill several."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from contract.names import DECODE_SIGNATURE
from contract.tensors import Ids
from export.hf.load import load_checkpoint
from export.options import FLOAT, ExportOptions
from export.signatures.servable import ExportedModel
from export.verification.pool_stepper import GREEDY, PoolStepper, Sampling
from tests.export import samples

BLOCK_SIZE = 32
SLOTS = 6


def golden(
    directory: Path,
    name: str,
    dtype: str = "float32",
    block_size: int = BLOCK_SIZE,
    keys_values: str = FLOAT,
) -> ExportedModel:
    """Returns the model of the golden checkpoint `name`, which is copied to `directory`."""
    samples.golden(directory, name)
    options = ExportOptions(dtype, "resident", block_size=block_size, keys_values=keys_values)
    return load_checkpoint(directory, name, options)


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


def allocated(stepper: PoolStepper, slots: int) -> set[int]:
    """Returns the bytes that all operations of a lease's first decode call allocate, for several leases.

    Whether an operation reuses its input's memory depends on the order in which operations finish, so the sum
    differs by a scalar from call to call.
    """
    return {_allocated_once(stepper, slots) for _ in range(15)}


def _allocated_once(stepper: PoolStepper, slots: int) -> int:
    options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
    call = {"tokens": [1, 2], "positions": [3, 40], "budget": [2, 2], "stop_tokens": [[-1]] * 2}
    feeds = call | GREEDY.feeds(np.zeros((2, 2)))
    stepper.claim(slots)
    metadata = tf.compat.v1.RunMetadata()
    stepper.call(DECODE_SIGNATURE, options, metadata, epoch=stepper.epoch, **feeds)
    nodes = [node for device in metadata.step_stats.dev_stats for node in device.node_stats]
    return sum(memory.total_bytes for node in nodes for memory in node.memory)
