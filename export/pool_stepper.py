"""Runs a written resident servable by the contract alone, as a decode loop would: claims, prefills, decodes.

In a session of its own, as a model server has one for each version: pools of two never meet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.saved_model.loader_impl import SavedModelLoader

from contract import names
from contract.manifest import Manifest, Pool
from contract.tensors import Array

Ids = npt.NDArray[np.int32]

NO_STOP = -1


@dataclass(frozen=True)
class Sampling:
    """The same parameters for every row."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def feeds(self, uniforms: Array) -> dict[str, Array]:
        rows = len(uniforms)
        return {
            names.TEMPERATURE: np.full(rows, self.temperature, np.float32),
            names.TOP_K: np.full(rows, self.top_k, np.int32),
            names.TOP_P: np.full(rows, self.top_p, np.float32),
            names.MIN_P: np.full(rows, self.min_p, np.float32),
            names.UNIFORMS: uniforms,
        }


GREEDY = Sampling()


class PoolStepper:
    """A loaded resident servable, and the lease on its pool."""

    def __init__(self, directory: Path) -> None:
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            meta_graph = SavedModelLoader(str(directory)).load(self._session, ["serve"])
        self._signatures = dict(meta_graph.signature_def)
        answer = self.call(names.MANIFEST_SIGNATURE)
        self.manifest = Manifest.from_json(answer[names.MANIFEST])
        self.tokenizer: bytes = answer[names.TOKENIZER]
        self.epoch = 0

    @property
    def pool(self) -> Pool:
        assert self.manifest.pool is not None
        return self.manifest.pool

    def claim(self, slots: int) -> None:
        """A new pool, under the next epoch."""
        self.epoch += 1
        self.call(names.CLAIM_SIGNATURE, epoch=self.epoch, slots=slots)

    def prefill(
        self,
        prompts: Sequence[Ids],
        slots: Sequence[int],
        starts: Sequence[int] | None = None,
        sampling: Sampling = GREEDY,
        uniforms: Array | None = None,  # (batch,)
    ) -> Ids:
        """The token after each of `prompts`, of any lengths, in one padded call."""
        starts = starts or [0] * len(prompts)
        tokens = np.zeros((len(prompts), max(map(len, prompts))), np.int32)
        for row, prompt in zip(tokens, prompts, strict=True):
            row[: len(prompt)] = prompt
        answer = self.call(
            names.prefill_signature(self.pool.block_counts[-1]),
            epoch=self.epoch,
            tokens=tokens,
            lengths=[len(prompt) for prompt in prompts],
            slots=slots,
            starts=starts,
            **sampling.feeds(np.zeros((len(prompts), 1)) if uniforms is None else uniforms[:, None]),
        )
        return np.asarray(answer[names.TOKENS])

    def decode(
        self,
        tokens: Sequence[int] | Ids,
        positions: Sequence[int] | Ids,
        budget: Sequence[int],
        stop_tokens: Sequence[int] = (),
        sampling: Sampling = GREEDY,
        uniforms: Array | None = None,  # (rows, steps)
    ) -> Ids:
        """(rows, steps): up to `budget` tokens for each of slots 0, 1, ..., then NO_STOP."""
        steps = max(budget)
        answer = self.call(
            names.decode_signature(self.pool.block_counts[-1]),
            epoch=self.epoch,
            tokens=tokens,
            positions=positions,
            budget=budget,
            stop_tokens=[[*stop_tokens, NO_STOP]] * len(budget),
            **sampling.feeds(np.zeros((len(budget), steps)) if uniforms is None else uniforms),
        )
        return np.asarray(answer[names.TOKENS])

    def move(self, sources: Sequence[int], targets: Sequence[int]) -> None:
        self.call(names.MOVE_SIGNATURE, epoch=self.epoch, sources=sources, targets=targets)

    def call(
        self, signature: str, options: Any = None, metadata: Any = None, **inputs: Any
    ) -> dict[str, Any]:
        """One signature by the names of its inputs."""
        proto = self._signatures[signature]
        fetches = {name: info.name for name, info in proto.outputs.items()}
        feeds = {proto.inputs[name].name: value for name, value in inputs.items()}
        answer: dict[str, Any] = self._session.run(fetches, feeds, options, metadata)
        return answer
