"""The explicit state of all sequences: stacked into the inputs of a call, updated from its outputs.

A growing tensor of a sequence is one array with the sequence's full capacity, so that appending a slice
copies only the slice. Which state tensors there are is read from the manifest.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from contract.errors import TensorError
from contract.manifest import Manifest, StateTensor
from contract.tensors import Array
from contract.wire import Parts, Tensor


@dataclass
class StateArrays:
    """The state of one sequence; growing tensors have `length` valid entries along their growth axis."""

    fixed: dict[str, Array]
    growing: dict[str, Array]  # (product of axes before, capacity, product of axes after)
    length: int = 0


@dataclass
class StateStore:
    """The state of sequences, by sequence id."""

    manifest: Manifest
    _states: dict[str, StateArrays] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, sequence_id: str) -> bool:
        return sequence_id in self._states

    def create(self, sequence_id: str, capacity: int) -> None:
        """Creates the initial state of a sequence, with capacity for `capacity` tokens."""
        assert sequence_id not in self._states, f"{sequence_id} has state already"
        self._states[sequence_id] = StateArrays(
            fixed={t.name: np.full(t.shape, t.initial, t.numpy_dtype) for t in self.manifest.fixed},
            growing={t.name: np.empty(_flat(t, capacity), t.numpy_dtype) for t in self.manifest.growing},
        )

    def drop(self, sequence_id: str) -> None:
        """Frees the state of a sequence, if it has any."""
        self._states.pop(sequence_id, None)

    def stack(self, sequence_ids: Sequence[str]) -> dict[str, Tensor]:
        """Returns the state inputs of a call; growing ones are padded with zeros to the longest row.

        They may share memory with the state, so they must be used before the next `update`.
        """
        states = [self._states[sequence_id] for sequence_id in sequence_ids]
        inputs: dict[str, Tensor] = {}
        for tensor in self.manifest.fixed:
            inputs[tensor.name] = np.stack([state.fixed[tensor.name] for state in states])
        for tensor in self.manifest.growing:
            inputs[tensor.name] = _stack_growing(tensor, states)
        return inputs

    def update(
        self, sequence_ids: Sequence[str], counts: Sequence[int], width: int, outputs: Mapping[str, Array]
    ) -> None:
        """Stores the state outputs of a call whose row i computed `counts[i]` of `width` tokens.

        Sequences that were dropped during the call are skipped. Raises TensorError, and changes nothing, if
        an output is missing, or its shape or dtype is not that of the manifest.
        """
        for tensor in self.manifest.state:
            _check(tensor, outputs, len(sequence_ids), width)
        for row, (sequence_id, count) in enumerate(zip(sequence_ids, counts, strict=True)):
            if sequence_id in self._states:
                self._update_row(self._states[sequence_id], row, count, outputs)

    def _update_row(self, state: StateArrays, row: int, count: int, outputs: Mapping[str, Array]) -> None:
        for tensor in self.manifest.fixed:
            # A view would keep the output of the whole batch alive.
            state.fixed[tensor.name] = outputs[tensor.name][row].copy()
        end = state.length + count
        for tensor in self.manifest.growing:
            output = outputs[tensor.name][row]
            new = output.reshape(_flat(tensor, output.shape[tensor.axis]))
            state.growing[tensor.name][:, state.length : end] = new[:, :count]
        state.length = end


def _flat(tensor: StateTensor, entries: int) -> tuple[int, int, int]:
    """The 3-D shape of a growing tensor: axes before the growth axis, `entries`, axes after it."""
    return math.prod(tensor.shape[: tensor.axis]), entries, math.prod(tensor.shape[tensor.axis + 1 :])


def _stack_growing(tensor: StateTensor, states: Sequence[StateArrays]) -> Tensor:
    """A growing tensor of all rows, (batch, ...), each row padded with zeros to the longest."""
    longest = max(state.length for state in states)
    shape = (len(states), *tensor.shape[: tensor.axis], longest, *tensor.shape[tensor.axis + 1 :])
    if tensor.axis == 0:
        return Parts(tensor.numpy_dtype, shape, list(_pieces(tensor, states, longest)))
    stacked = np.empty((len(states), *_flat(tensor, longest)), tensor.numpy_dtype)
    for row, state in zip(stacked, states, strict=True):
        row[:, : state.length] = state.growing[tensor.name][:, : state.length]
        row[:, state.length :] = 0
    return stacked.reshape(shape)


def _pieces(tensor: StateTensor, states: Sequence[StateArrays], longest: int) -> Iterator[Array]:
    """Each row's entries and its padding. With growth axis 0 these are contiguous, so none is copied."""
    shortest = min(state.length for state in states)
    zeros = np.zeros((longest - shortest, *tensor.shape[1:]), tensor.numpy_dtype)
    for state in states:
        yield state.growing[tensor.name][0, : state.length]
        yield zeros[: longest - state.length]


def _check(tensor: StateTensor, outputs: Mapping[str, Array], batch: int, width: int) -> None:
    if tensor.name not in outputs:
        raise TensorError(f"the step's outputs lack state tensor {tensor.name!r}")
    output = outputs[tensor.name]
    sizes = [width if axis == tensor.growth_axis else size for axis, size in enumerate(tensor.shape)]
    if output.shape != (batch, *sizes):
        raise TensorError(f"{tensor.name} came as {list(output.shape)}; the manifest says {[batch, *sizes]}")
    if output.dtype != tensor.numpy_dtype:
        raise TensorError(f"{tensor.name} came as {output.dtype}; the manifest says {tensor.dtype}")
