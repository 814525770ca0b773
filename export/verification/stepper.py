"""Runs a written servable by the contract alone, as a decode loop would: pads, calls, appends.

The smallest loop that keeps the contract; the verifier and the tests generate with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from contract import names
from contract.manifest import Manifest, StateTensor
from contract.tensors import Array
from export.errors import VerificationError
from export.saved_model.session import ServableSession
from export.user_errors import one_line
from export.verification.pool_stepper import GREEDY, NO_STOP, Sampling

Ids = npt.NDArray[np.int32]
State = dict[str, Array]


@dataclass(frozen=True)
class StepResult:
    """What one step gave one row."""

    logits: Array  # (vocabulary,)
    state: State


def _none() -> Array:
    return np.empty([0, 0])


@dataclass(frozen=True)
class Decoded:
    """What several steps in one call gave one row."""

    tokens: list[int]
    state: State
    top_ids: Array = field(default_factory=_none)  # (steps, as many as were asked for)
    top_logprobs: Array = field(default_factory=_none)


class Stepper:
    """A loaded servable."""

    def __init__(self, directory: Path) -> None:
        self._loaded = ServableSession(directory)
        self.manifest = self._loaded.manifest
        self.tokenizer = self._loaded.tokenizer

    def fresh(self) -> State:
        """The state of a session that has seen nothing."""
        return {
            tensor.name: np.full(tensor.shape, tensor.initial, tensor.numpy_dtype)
            for tensor in self.manifest.state
        }

    def run(self, ids: Sequence[Ids], states: Sequence[State] | None = None) -> list[StepResult]:
        """One padded call for rows of any lengths; rows without states are fresh sessions."""
        states = states or [self.fresh() for _ in ids]
        lengths = np.array([len(row) for row in ids], np.int32)
        feeds = {names.TOKENS: self._rectangle(ids), names.LENGTHS: lengths, **self._stacked(states)}
        answer = self._answer(names.STEP_SIGNATURE, feeds)
        self._check_shapes(answer, *feeds[names.TOKENS].shape)
        return [
            StepResult(answer[names.LOGITS][row], self._after(answer, row, len(ids[row]), states[row]))
            for row in range(len(ids))
        ]

    def decode(
        self,
        tokens: Sequence[int],
        states: Sequence[State],
        held: Sequence[int],
        budget: Sequence[int],
        stop_tokens: Sequence[int] = (),
        sampling: Sampling = GREEDY,
        uniforms: Array | None = None,  # (rows, steps)
    ) -> list[Decoded]:
        """One call: up to `budget` tokens for each row, which holds `held` and is fed its `tokens` first."""
        feeds = {
            names.TOKENS: np.array(tokens, np.int32),
            names.HELD: np.array(held, np.int32),
            names.BUDGET: np.array(budget, np.int32),
            names.STOP_TOKENS: np.array([[*stop_tokens, NO_STOP]] * len(tokens), np.int32),
            **sampling.feeds(np.zeros((len(tokens), max(budget))) if uniforms is None else uniforms),
            **self._stacked(states),
        }
        answer = self._answer(names.DECODE_SIGNATURE, feeds)
        given = [[token for token in row if token != NO_STOP] for row in answer[names.TOKENS].tolist()]
        told = zip(answer[names.TOP_IDS], answer[names.TOP_LOGPROBS], strict=True)
        return [
            Decoded(new, self._after(answer, row, len(new), states[row]), *logprobs)
            for row, (new, logprobs) in enumerate(zip(given, told, strict=True))
        ]

    def greedy(self, prompt: Ids, count: int) -> list[int]:
        """`count` ids, each the likeliest."""
        result = self.run([prompt])[0]
        chosen = [int(result.logits.argmax())]
        while len(chosen) < count:
            result = self.run([np.array(chosen[-1:], np.int32)], [result.state])[0]
            chosen.append(int(result.logits.argmax()))
        return chosen

    def call(self, signature: str, feeds: dict[str, Array]) -> dict[str, Array]:
        """A signature itself."""
        return self._loaded.call(signature, feeds)

    def close(self) -> None:
        self._loaded.close()

    def _answer(self, signature: str, feeds: dict[str, Array]) -> dict[str, Array]:
        try:
            return self.call(signature, feeds)
        except tf.errors.OpError as error:
            shapes = ", ".join(f"{name} {value.shape}" for name, value in feeds.items() if value.size)
            raise VerificationError(f"{signature} fails for {shapes}: {one_line(error)}") from error

    def _check_shapes(self, answer: dict[str, Array], rows: int, steps: int) -> None:
        """Sizes that the graph left open until it ran."""
        wanted: dict[str, tuple[int, ...]] = {names.LOGITS: (rows, self.manifest.vocabulary_size)}
        for tensor in self.manifest.state:
            sizes = [steps if axis == tensor.growth_axis else size for axis, size in enumerate(tensor.shape)]
            wanted[tensor.name] = (rows, *sizes)
        for name, shape in wanted.items():
            if answer[name].shape != shape:
                raise VerificationError(
                    f"output {name!r} of step has shape {answer[name].shape}, not {shape}, "
                    f"for {rows} rows of {steps} tokens{_only_new(self.manifest, name)}"
                )

    def _rectangle(self, ids: Sequence[Ids]) -> Ids:
        """Padded with an id that no model takes for padding."""
        tokens = np.full([len(ids), max(map(len, ids))], self.manifest.vocabulary_size - 1, np.int32)
        for i, row in enumerate(ids):
            tokens[i, : len(row)] = row
        return tokens

    def _stacked(self, states: Sequence[State]) -> State:
        return {t.name: _batch(t, [state[t.name] for state in states]) for t in self.manifest.state}

    def _after(self, answer: dict[str, Array], row: int, length: int, before: State) -> State:
        """The state of a row that has fed `length` tokens."""
        state = {}
        for tensor in self.manifest.state:
            value = answer[tensor.name][row]
            if tensor.growth_axis is not None:
                new = value.take(range(length), tensor.growth_axis)
                value = np.concatenate([before[tensor.name], new], tensor.growth_axis)
            state[tensor.name] = value
        return state


def _only_new(manifest: Manifest, name: str) -> str:
    grows = name in {tensor.name for tensor in manifest.growing}
    return ": of what grows, only the new entries are asked for" if grows else ""


def _batch(tensor: StateTensor, rows: list[Array]) -> Array:
    return np.stack(rows) if tensor.growth_axis is None else _padded(rows, tensor.growth_axis)


def _padded(rows: Sequence[Array], axis: int) -> Array:
    """Rows stacked, each filled up with zeros along `axis` to the longest."""
    longest = max(row.shape[axis] for row in rows)
    shape = list(rows[0].shape)
    shape[axis] = longest
    batch = np.zeros([len(rows), *shape], rows[0].dtype)
    for i, row in enumerate(rows):
        batch[i][tuple(slice(size) for size in row.shape)] = row
    return batch
