"""A written servable with resident state, run through the contract alone: claim, prefill, decode, move."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from contract import names
from contract.manifest import Pool
from contract.tensors import Array, Ids
from export.saved_model.session import ServableSession

NO_STOP = names.NO_TOKEN
"""Fills up stop token ids, and stands in `tokens` where a row has stopped."""


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters, the same for every row of a call."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    edits: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    """By token id, (edit count, bias): see `EDIT_COUNTS` and `EDIT_BIAS` in `contract.names`."""
    presence: float = 0.0
    frequency: float = 0.0
    repetition: float = 1.0
    mask: tuple[int, ...] = ()
    """The bytes of the token mask; empty: no mask."""
    logprobs: int = names.NO_LOGPROBS

    def feeds(self, uniforms: Array) -> dict[str, Array]:
        """Builds the sampling inputs of a call with the random numbers `uniforms` (rows, steps)."""
        rows, steps = uniforms.shape
        return {
            names.TEMPERATURE: np.full(rows, self.temperature, np.float32),
            names.TOP_K: np.full(rows, self.top_k, np.int32),
            names.TOP_P: np.full(rows, self.top_p, np.float32),
            names.MIN_P: np.full(rows, self.min_p, np.float32),
            names.UNIFORMS: uniforms,
            names.PRESENCE: np.full(rows, self.presence, np.float32),
            names.FREQUENCY: np.full(rows, self.frequency, np.float32),
            names.REPETITION: np.full(rows, self.repetition, np.float32),
            names.MASK: np.tile(np.array(self.mask, np.uint8), (rows, 1)),
            names.LOGPROBS: np.array(self.logprobs, np.int32),
            **self._edits(rows, steps),
        }

    def _edits(self, rows: int, steps: int) -> dict[str, Array]:
        penalised = (self.presence, self.frequency, self.repetition) != (0, 0, 1)
        free = steps - 1 if penalised else 0
        columns = [(token, *edit) for token, edit in self.edits.items()]
        columns += [(names.NO_EDIT, names.UNSEEN, 0.0)] * free
        ids, counts, bias = np.array(columns).reshape(-1, 3).T
        return {
            names.EDIT_IDS: np.tile(ids.astype(np.int32), (rows, 1)),
            names.EDIT_COUNTS: np.tile(counts.astype(np.int32), (rows, 1)),
            names.EDIT_BIAS: np.tile(bias.astype(np.float32), (rows, 1)),
        }


GREEDY = Sampling()


class PoolStepper:
    """A loaded servable with resident state, and the lease on its pool."""

    def __init__(self, directory: Path) -> None:
        self._loaded = ServableSession(directory)
        self.manifest = self._loaded.manifest
        self.tokenizer = self._loaded.tokenizer
        self.epoch = 0

    @property
    def pool(self) -> Pool:
        """The pool's description in the manifest."""
        assert self.manifest.pool is not None
        return self.manifest.pool

    def claim(self, slots: int | Sequence[int]) -> None:
        """Claims a new pool under the next epoch; `slots` is one number for all blocks, or one for each."""
        self.epoch += 1
        each = [slots] * self.pool.blocks if isinstance(slots, int) else slots
        self.call(names.CLAIM_SIGNATURE, epoch=self.epoch, slots=each)

    def prefill(
        self,
        prompts: Sequence[Ids],
        slots: Sequence[int],
        starts: Sequence[int] | None = None,
        sampling: Sampling = GREEDY,
        uniforms: Array | None = None,  # (batch,)
    ) -> Ids:
        """Returns the token (batch,) after each of `prompts`, of any lengths, in one padded call."""
        numbers = np.zeros(len(prompts)) if uniforms is None else uniforms
        starts = starts or [0] * len(prompts)
        outputs = self.prefill_outputs(prompts, slots, starts, sampling, numbers[:, None])
        return np.asarray(outputs[names.TOKENS][:, 0])

    def prefill_outputs(
        self,
        tokens: Sequence[Ids],
        slots: Sequence[int],
        starts: Sequence[int],
        sampling: Sampling,
        uniforms: Array,  # (rows, sampled)
        last_tokens: Sequence[int] | Ids = (),
        positions: Sequence[int] | Ids = (),
    ) -> dict[str, Any]:
        """Runs `prefill` on rows of any lengths, padded; returns the outputs after each row's last tokens.

        The second dimension of `uniforms` says after how many: its shape is that of the output `tokens`.
        With `last_tokens`, the call also does a decode step of slots 0, 1, ..., whose rows come first.
        """
        padded = np.zeros((len(tokens), max(map(len, tokens))), np.int32)
        for row, ids in zip(padded, tokens, strict=True):
            row[: len(ids)] = ids
        return self.call(
            names.PREFILL_SIGNATURE,
            epoch=self.epoch,
            tokens=padded,
            lengths=[len(ids) for ids in tokens],
            slots=slots,
            starts=starts,
            last_tokens=np.array(last_tokens, np.int32),
            positions=np.array(positions, np.int32),
            **sampling.feeds(uniforms),
        )

    def decode(self, *args: Any, **kwargs: Any) -> Ids:
        """Returns the tokens (rows, steps) of `decode_outputs`, which takes the same arguments."""
        return np.asarray(self.decode_outputs(*args, **kwargs)[names.TOKENS])

    def decode_outputs(
        self,
        tokens: Sequence[int] | Ids,
        positions: Sequence[int] | Ids,
        budget: Sequence[int],
        stop_tokens: Sequence[int] = (),
        sampling: Sampling = GREEDY,
        uniforms: Array | None = None,  # (rows, steps)
    ) -> dict[str, Any]:
        """Runs `decode`; returns its outputs: up to `budget` tokens for slots 0, 1, ..., then NO_STOP."""
        return self.call(
            names.DECODE_SIGNATURE,
            epoch=self.epoch,
            tokens=tokens,
            positions=positions,
            budget=budget,
            stop_tokens=[[*stop_tokens, NO_STOP]] * len(budget),
            **sampling.feeds(np.zeros((len(budget), max(budget))) if uniforms is None else uniforms),
        )

    def move(
        self, sources: Sequence[int], targets: Sequence[int], blocks: Sequence[int] | None = None
    ) -> None:
        """Copies the first `blocks` blocks of each source slot to its target, or all blocks."""
        each = [self.pool.blocks] * len(sources) if blocks is None else blocks
        self.call(names.MOVE_SIGNATURE, epoch=self.epoch, sources=sources, targets=targets, blocks=each)

    def call(
        self, signature: str, options: Any = None, metadata: Any = None, **inputs: Any
    ) -> dict[str, Any]:
        """Runs one signature on inputs by name; `options` and `metadata` are TensorFlow's of a run."""
        return self._loaded.call(signature, inputs, options, metadata)

    def close(self) -> None:
        """Unloads the servable and its pool."""
        self._loaded.close()


def by_token(ids: Array, ranked: Array) -> Array:
    """Sorts the log-probabilities of the whole vocabulary by token id: (..., vocabulary)."""
    logprobs = np.empty_like(ranked)
    np.put_along_axis(logprobs, ids, ranked, axis=-1)
    return logprobs
