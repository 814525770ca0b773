"""The explicit state of sequences: put together into a call's inputs, and replaced by its outputs.

Growing state lies in one array per tensor and sequence, as large as the sequence may become, so that a new
slice is one copy and nothing is ever moved. Knows the manifest's state tensors; knows no sequence.
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
    """One sequence's state; growing tensors have `length` valid entries along their axis."""

    fixed: dict[str, Array]
    growing: dict[str, Array]  # (before the axis, capacity, after it)
    length: int = 0


@dataclass
class StateStore:
    """Every sequence's state, by the sequence's id."""

    manifest: Manifest
    _states: dict[str, StateArrays] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, owner: str) -> bool:
        return owner in self._states

    def create(self, owner: str, capacity: int) -> None:
        """State as it is before the first token, with room for `capacity` tokens."""
        assert owner not in self._states, f"{owner} has state"
        self._states[owner] = StateArrays(
            fixed={t.name: np.full(t.shape, t.initial, t.numpy_dtype) for t in self.manifest.fixed},
            growing={t.name: np.empty(_flat(t, capacity), t.numpy_dtype) for t in self.manifest.growing},
        )

    def drop(self, owner: str) -> None:
        self._states.pop(owner, None)

    def stack(self, owners: Sequence[str]) -> dict[str, Tensor]:
        """The state inputs of a call with rows `owners`; growing ones padded to the longest with zeros.

        They share the memory of the state, which changes with the next update of a row.
        """
        states = [self._states[owner] for owner in owners]
        inputs: dict[str, Tensor] = {}
        for tensor in self.manifest.fixed:
            inputs[tensor.name] = np.stack([state.fixed[tensor.name] for state in states])
        for tensor in self.manifest.growing:
            inputs[tensor.name] = _stack_growing(tensor, states)
        return inputs

    def update(
        self, owners: Sequence[str], counts: Sequence[int], width: int, outputs: Mapping[str, Array]
    ) -> None:
        """Take a call's state outputs: row i belongs to `owners[i]` and fed `counts[i]` of `width` tokens.

        Owners that were dropped in the meantime are passed over. TensorError where an output is missing or
        has another shape or dtype than the manifest says; nothing is changed then.
        """
        for tensor in self.manifest.state:
            _check(tensor, outputs, len(owners), width)
        for row, (owner, count) in enumerate(zip(owners, counts, strict=True)):
            if owner in self._states:
                self._update_row(self._states[owner], row, count, outputs)

    def _update_row(self, state: StateArrays, row: int, count: int, outputs: Mapping[str, Array]) -> None:
        for tensor in self.manifest.fixed:
            # A copy: a view would keep the whole batch's output alive.
            state.fixed[tensor.name] = outputs[tensor.name][row].copy()
        end = state.length + count
        for tensor in self.manifest.growing:
            output = outputs[tensor.name][row]
            new = output.reshape(_flat(tensor, output.shape[tensor.axis]))
            state.growing[tensor.name][:, state.length : end] = new[:, :count]
        state.length = end


def _flat(tensor: StateTensor, entries: int) -> tuple[int, int, int]:
    """The shape of a growing tensor with `entries` entries: all before its axis, these, all after it."""
    return math.prod(tensor.shape[: tensor.axis]), entries, math.prod(tensor.shape[tensor.axis + 1 :])


def _stack_growing(tensor: StateTensor, states: Sequence[StateArrays]) -> Tensor:
    """(batch, ...), in the order of the wire, each row filled up with zeros."""
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
    """Where time comes first nothing has to be moved: each row's entries, and zeros up to `longest`."""
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
