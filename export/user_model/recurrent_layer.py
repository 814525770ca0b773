"""A recurrent layer of a Keras model, run over new positions from a given state of its cells.

Runs the layer's own cells in another loop than the layer's: it skips padding, and returns the state.
"""

import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from contract.manifest import StateTensor
from export.errors import UnsupportedError
from export.signatures.servable import NamedTensors
from export.user_model.layer_graph import RECURRENT_LAYERS, OperationCall
from export.user_model.positionwise import described

_LETTERS = {
    keras.layers.LSTMCell: ("h", "c"),
    keras.layers.GRUCell: ("h",),
    keras.layers.SimpleRNNCell: ("h",),
}
"""The names of each cell's state tensors; the first tensor is also the cell's output."""


class StepLoop(keras.layers.RNN):  # type: ignore[misc]
    """Keras's own loop without its side effect on a random generator."""

    def _maybe_config_dropout_masks(self, *_: Any) -> None:
        # Keras draws them also outside of training, which writes to its random generator in every call.
        pass


def plain(layer: Any) -> StepLoop:
    """Returns a stateless layer over the same cell that takes any number of positions."""
    options = ("return_sequences", "return_state", "zero_output_for_mask")
    return StepLoop(layer.cell, **{name: getattr(layer, name) for name in options})


class RecurrentLayer:
    """A recurrent layer that is called once in the model."""

    def __init__(self, call: OperationCall) -> None:
        """Raises UnsupportedError if the layer cannot continue from a given state."""
        self._layer = call.operation
        _check(call)
        cell, name = self._layer.cell, identifier(self._layer.name)
        if isinstance(cell, keras.layers.StackedRNNCells):
            named = [(f"{name}_{identifier(each.name)}", each) for each in cell.cells]
        else:
            named = [(name, cell)]
        self._cells = [_RecurrentCell(self._layer, *each) for each in named]

    @property
    def state(self) -> tuple[StateTensor, ...]:
        """The state tensors of its cells, in order."""
        return tuple(tensor for cell in self._cells for tensor in cell.state)

    def run(
        self,
        x: tf.Tensor,  # (batch, time, features)
        mask: tf.Tensor | None,  # (batch, time): False where the model masks a token
        lengths: tf.Tensor,  # (batch,)
        before: NamedTensors,
    ) -> tuple[Any, NamedTensors]:
        """Runs `lengths` positions of each row; returns the layer's output and the state after them."""
        after: dict[str, tf.Tensor] = {}
        for cell in self._cells:
            x, state = cell.run(x, mask, lengths, before)
            after |= state
        if not self._layer.return_sequences:
            x = last(x, lengths)[:, 0]
        return [x, *after.values()] if self._layer.return_state else x, after


class _RecurrentCell:
    def __init__(self, layer: Any, name: str, cell: Any) -> None:
        self._layer = layer
        self._loop = StepLoop(
            cell,
            return_sequences=True,
            return_state=True,
            zero_output_for_mask=layer.zero_output_for_mask,
        )
        self._outputs_its_state = type(cell) in _LETTERS
        self.state = _state(layer, name, self._loop)

    def run(
        self, x: tf.Tensor, mask: tf.Tensor | None, lengths: tf.Tensor, before: NamedTensors
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        initial = [before[tensor.name] for tensor in self.state]
        # A masked position does not change the state: each row ends with the state after its own length.
        valid = tf.sequence_mask(lengths, tf.shape(x)[1])
        valid = valid if mask is None else valid & mask
        x, *after = self._loop(x, initial_state=initial, mask=valid)
        if mask is not None and not self._layer.zero_output_for_mask:
            x = self._with_earlier_output(x, mask, initial[0])
        return x, {tensor.name: value for tensor, value in zip(self.state, after, strict=True)}

    def _with_earlier_output(self, x: tf.Tensor, mask: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
        """Repeats the output before a masked position; at the start that of the previous call."""
        if not self._outputs_its_state:
            raise UnsupportedError(
                f"{described(self._layer)} takes a mask (mask_zero, Masking), but its cell is not one of "
                f"{', '.join(kind.__name__ for kind in _LETTERS)}"
            )
        begun = tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
        return tf.where(begun[:, :, None], x, tf.cast(before, x.dtype)[:, None])


def last(x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """Selects the last valid position of each row: (batch, time, features) to (batch, 1, features)."""
    return tf.gather(x, lengths[:, None] - 1, batch_dims=1)


def identifier(name: str) -> str:
    """Turns a layer's name into one that can be part of a tensor's name."""
    name = re.sub("[^A-Za-z0-9_]", "_", name)
    return name if re.match("[A-Za-z]", name) else f"layer_{name}"


def _check(call: OperationCall) -> None:
    layer = call.operation
    if type(layer) not in RECURRENT_LAYERS:
        raise UnsupportedError(
            f"{described(layer)} must be one of {', '.join(kind.__name__ for kind in RECURRENT_LAYERS)}, "
            "not a subclass"
        )
    if layer.go_backwards:
        raise UnsupportedError(
            f"{described(layer)} reads backwards (go_backwards): this cannot be done step by step"
        )
    if len(call.sources) > 1:
        raise UnsupportedError(
            f"{described(layer)} begins with a state that another layer computes (initial_state); it must be "
            "the same for every session"
        )


def _state(layer: Any, name: str, loop: StepLoop) -> tuple[StateTensor, ...]:
    values = loop.get_initial_state(batch_size=1)
    if any(keras.tree.is_nested(value) for value in values):
        raise UnsupportedError(f"{described(layer)} has a cell whose state is nested")
    kind = next((kind for kind in _LETTERS if isinstance(loop.cell, kind)), None)
    letters = _LETTERS[kind] if kind else [f"state_{i}" for i in range(len(values))]
    return tuple(
        _tensor(layer, f"{name}_{letter}", value) for letter, value in zip(letters, values, strict=True)
    )


def _tensor(layer: Any, name: str, value: Any) -> StateTensor:
    initial = np.unique(keras.ops.convert_to_numpy(keras.ops.cast(value, "float32")))
    if len(initial) != 1:
        raise UnsupportedError(f"{described(layer)}: the initial values of state {name!r} must all be equal")
    dtype = keras.backend.standardize_dtype(value.dtype)
    return StateTensor(name, dtype, tuple(value.shape[1:]), float(initial[0]))
