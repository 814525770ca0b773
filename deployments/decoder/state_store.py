"""The explicit state of sequences: stacked into a call's inputs, and replaced by its outputs.

Growing state lies in one array per tensor and sequence, as large as the sequence may become, so that a new
slice is one copy and nothing is ever moved. Knows the manifest's state tensors; knows no sequence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from contract.errors import TensorError
from contract.manifest import Manifest, StateTensor
from contract.tensors import Array


@dataclass
class SequenceState:
    """One sequence's state; growing tensors have time first and `length` valid entries."""

    fixed: dict[str, Array]
    growing: dict[str, Array]  # (capacity, ...)
    length: int = 0


@dataclass
class StateStore:
    """Every sequence's state, by the sequence's id."""

    manifest: Manifest
    _states: dict[str, SequenceState] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, owner: str) -> bool:
        return owner in self._states

    def create(self, owner: str, capacity: int) -> None:
        """State as it is before the first token, with room for `capacity` tokens."""
        assert owner not in self._states, f"{owner} has state"
        self._states[owner] = SequenceState(
            fixed={t.name: np.full(t.shape, t.initial, t.numpy_dtype) for t in self.manifest.fixed},
            growing={
                t.name: np.empty((capacity, *_slice_shape(t)), t.numpy_dtype) for t in self.manifest.growing
            },
        )

    def drop(self, owner: str) -> None:
        self._states.pop(owner, None)

    def stack(self, owners: Sequence[str]) -> dict[str, Array]:
        """The state inputs of a call with rows `owners`; growing ones padded to the longest with zeros."""
        states = [self._states[owner] for owner in owners]
        inputs = {t.name: np.stack([s.fixed[t.name] for s in states]) for t in self.manifest.fixed}
        return inputs | {t.name: _stack_growing(t, states) for t in self.manifest.growing}

    def update(self, owners: Sequence[str], counts: Sequence[int], outputs: Mapping[str, Array]) -> None:
        """Take a call's state outputs: row i belongs to `owners[i]` and fed `counts[i]` tokens.

        Owners that were dropped in the meantime are passed over. TensorError where an output is missing or
        has another shape or dtype than the manifest says; nothing is changed then.
        """
        for tensor in self.manifest.state:
            _check(tensor, outputs, len(owners), max(counts))
        for row, (owner, count) in enumerate(zip(owners, counts, strict=True)):
            if owner in self._states:
                self._update_row(self._states[owner], row, count, outputs)

    def _update_row(self, state: SequenceState, row: int, count: int, outputs: Mapping[str, Array]) -> None:
        for tensor in self.manifest.fixed:
            # A copy: a view would keep the whole batch's output alive.
            state.fixed[tensor.name] = outputs[tensor.name][row].copy()
        end = state.length + count
        for tensor in self.manifest.growing:
            assert tensor.growth_axis is not None
            new = np.moveaxis(outputs[tensor.name][row], tensor.growth_axis, 0)
            state.growing[tensor.name][state.length : end] = new[:count]
        state.length = end


def _slice_shape(tensor: StateTensor) -> tuple[int, ...]:
    return tuple(size for axis, size in enumerate(tensor.shape) if axis != tensor.growth_axis)


def _stack_growing(tensor: StateTensor, states: Sequence[SequenceState]) -> Array:
    assert tensor.growth_axis is not None
    longest = max(state.length for state in states)
    stacked = np.empty((len(states), longest, *_slice_shape(tensor)), tensor.numpy_dtype)
    for row, state in zip(stacked, states, strict=True):
        row[: state.length] = state.growing[tensor.name][: state.length]
        row[state.length :] = 0
    return np.moveaxis(stacked, 1, tensor.growth_axis + 1)


def _check(tensor: StateTensor, outputs: Mapping[str, Array], batch: int, width: int) -> None:
    if tensor.name not in outputs:
        raise TensorError(f"the step's outputs lack state tensor {tensor.name!r}")
    output = outputs[tensor.name]
    sizes = [width if axis == tensor.growth_axis else size for axis, size in enumerate(tensor.shape)]
    if output.shape != (batch, *sizes):
        raise TensorError(f"{tensor.name} came as {list(output.shape)}; the manifest says {[batch, *sizes]}")
    if output.dtype != tensor.numpy_dtype:
        raise TensorError(f"{tensor.name} came as {output.dtype}; the manifest says {tensor.dtype}")
