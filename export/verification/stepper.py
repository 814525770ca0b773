"""A written servable with explicit state, run through the contract alone: pads, calls, appends new state.

This is the smallest loop that keeps the contract; the verifier and the tests generate with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf

from contract import names
from contract.manifest import Manifest, StateTensor
from contract.tensors import Array, Ids
from export.errors import VerificationError
from export.saved_model.session import ServableSession
from export.user_errors import one_line
from export.verification.pool_stepper import GREEDY, NO_STOP, Sampling

RowState = dict[str, Array]
"""The state tensors of one sequence by name, without a batch dimension."""


@dataclass(frozen=True)
class StepResult:
    """The result of `step` for one row."""

    logits: Array  # (vocabulary,)
    state: RowState


def _empty() -> Array:
    return np.empty([0, 0])


@dataclass(frozen=True)
class DecodeResult:
    """The result of `decode`, many steps in one call, for one row."""

    tokens: list[int]
    state: RowState
    top_ids: Array = field(default_factory=_empty)  # (steps, top)
    top_logprobs: Array = field(default_factory=_empty)  # (steps, top)


class Stepper:
    """A loaded servable with explicit state."""

    def __init__(self, directory: Path) -> None:
        self._loaded = ServableSession(directory)
        self.manifest = self._loaded.manifest
        self.tokenizer = self._loaded.tokenizer

    def fresh(self) -> RowState:
        """Returns the state of an empty sequence."""
        return {
            tensor.name: np.full(tensor.shape, tensor.initial, tensor.numpy_dtype)
            for tensor in self.manifest.state
        }

    def run(self, ids: Sequence[Ids], states: Sequence[RowState] | None = None) -> list[StepResult]:
        """Runs `step` on rows of any lengths, in one padded call; without `states`, sequences are new.

        Raises VerificationError where the call fails or an output has a wrong shape.
        """
        states = states or [self.fresh() for _ in ids]
        lengths = np.array([len(row) for row in ids], np.int32)
        feeds = {names.TOKENS: self._rectangle(ids), names.LENGTHS: lengths, **self._stacked(states)}
        outputs = self._outputs(names.STEP_SIGNATURE, feeds)
        self._check_shapes(outputs, *feeds[names.TOKENS].shape)
        return [
            StepResult(outputs[names.LOGITS][row], self._after(outputs, row, len(ids[row]), states[row]))
            for row in range(len(ids))
        ]

    def decode(
        self,
        tokens: Sequence[int],
        states: Sequence[RowState],
        held: Sequence[int],
        budget: Sequence[int],
        stop_tokens: Sequence[int] = (),
        sampling: Sampling = GREEDY,
        uniforms: Array | None = None,  # (rows, steps)
    ) -> list[DecodeResult]:
        """Runs `decode` in one call: feeds each row its token, then decodes up to `budget` tokens.

        `held` says how many tokens each row's state covers.
        """
        feeds = {
            names.TOKENS: np.array(tokens, np.int32),
            names.HELD: np.array(held, np.int32),
            names.BUDGET: np.array(budget, np.int32),
            names.STOP_TOKENS: np.array([[*stop_tokens, NO_STOP]] * len(tokens), np.int32),
            **sampling.feeds(np.zeros((len(tokens), max(budget))) if uniforms is None else uniforms),
            **self._stacked(states),
        }
        outputs = self._outputs(names.DECODE_SIGNATURE, feeds)
        tokens_of_rows = [
            [token for token in row if token != NO_STOP] for row in outputs[names.TOKENS].tolist()
        ]
        logprobs_of_rows = zip(outputs[names.TOP_IDS], outputs[names.TOP_LOGPROBS], strict=True)
        return [
            DecodeResult(new, self._after(outputs, row, len(new), states[row]), *logprobs)
            for row, (new, logprobs) in enumerate(zip(tokens_of_rows, logprobs_of_rows, strict=True))
        ]

    def greedy(self, prompt: Ids, count: int) -> list[int]:
        """Decodes `count` token ids greedily, one `step` for each."""
        result = self.run([prompt])[0]
        chosen = [int(result.logits.argmax())]
        while len(chosen) < count:
            result = self.run([np.array(chosen[-1:], np.int32)], [result.state])[0]
            chosen.append(int(result.logits.argmax()))
        return chosen

    def call(self, signature: str, feeds: dict[str, Array]) -> dict[str, Array]:
        """Runs a signature on inputs by name, without padding or checks."""
        return self._loaded.call(signature, feeds)

    def close(self) -> None:
        """Unloads the servable."""
        self._loaded.close()

    def _outputs(self, signature: str, feeds: dict[str, Array]) -> dict[str, Array]:
        try:
            return self.call(signature, feeds)
        except tf.errors.OpError as error:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in feeds.items() if value.size)
            raise VerificationError(f"{signature} fails for {shapes}: {one_line(error)}") from error

    def _check_shapes(self, outputs: dict[str, Array], rows: int, steps: int) -> None:
        """Checks the dimensions that are unknown until the graph runs."""
        wanted: dict[str, tuple[int, ...]] = {names.LOGITS: (rows, self.manifest.vocabulary_size)}
        for tensor in self.manifest.state:
            sizes = [steps if axis == tensor.growth_axis else size for axis, size in enumerate(tensor.shape)]
            wanted[tensor.name] = (rows, *sizes)
        for name, shape in wanted.items():
            if outputs[name].shape != shape:
                raise VerificationError(
                    f"output {name!r} of step has shape {outputs[name].shape}, not {shape}, "
                    f"for {rows} rows of {steps} tokens{_only_new(self.manifest, name)}"
                )

    def _rectangle(self, ids: Sequence[Ids]) -> Ids:
        """Pads rows with the last id of the vocabulary, which models do not take for padding."""
        tokens = np.full([len(ids), max(map(len, ids))], self.manifest.vocabulary_size - 1, np.int32)
        for i, row in enumerate(ids):
            tokens[i, : len(row)] = row
        return tokens

    def _stacked(self, states: Sequence[RowState]) -> RowState:
        return {t.name: _batch(t, [state[t.name] for state in states]) for t in self.manifest.state}

    def _after(self, outputs: dict[str, Array], row: int, length: int, before: RowState) -> RowState:
        """Returns a row's state after it was fed `length` tokens: growing tensors get the new entries."""
        state = {}
        for tensor in self.manifest.state:
            value = outputs[tensor.name][row]
            if tensor.growth_axis is not None:
                new = value.take(range(length), tensor.growth_axis)
                value = np.concatenate([before[tensor.name], new], tensor.growth_axis)
            state[tensor.name] = value
        return state


def _only_new(manifest: Manifest, name: str) -> str:
    grows = name in {tensor.name for tensor in manifest.growing}
    return ": a growing tensor must contain only the new entries" if grows else ""


def _batch(tensor: StateTensor, rows: list[Array]) -> Array:
    return np.stack(rows) if tensor.growth_axis is None else _padded(rows, tensor.growth_axis)


def _padded(rows: Sequence[Array], axis: int) -> Array:
    """Stacks rows, padded with zeros along `axis` to the longest."""
    longest = max(row.shape[axis] for row in rows)
    shape = list(rows[0].shape)
    shape[axis] = longest
    batch = np.zeros([len(rows), *shape], rows[0].dtype)
    for i, row in enumerate(rows):
        batch[i][tuple(slice(size) for size in row.shape)] = row
    return batch
