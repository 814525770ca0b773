"""A recurrent layer of a Keras model, run over some positions with the state that its cells had before.

Runs the layer's own cells in a loop of its own, which skips padding and gives out the state; knows no model.
"""

import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from contract.manifest import StateTensor
from export.errors import UnsupportedError
from export.signatures.servable import Tensors
from export.user_model.layer_graph import LOOPS, OperationCall
from export.user_model.positionwise import described

_LETTERS = {
    keras.layers.LSTMCell: ("h", "c"),
    keras.layers.GRUCell: ("h",),
    keras.layers.SimpleRNNCell: ("h",),
}
"""What their state is called; the first of it is what they give out."""


class StepLoop(keras.layers.RNN):  # type: ignore[misc]
    """Keras's own loop, without its side effect."""

    def _maybe_config_dropout_masks(self, *_: Any) -> None:
        # It draws them even where nothing is trained, and so writes to its random generator at every call.
        pass


def plain(layer: Any) -> StepLoop:
    """A layer over the same cell that keeps nothing between calls, and takes any number of positions."""
    kept = ("return_sequences", "return_state", "zero_output_for_mask")
    return StepLoop(layer.cell, **{name: getattr(layer, name) for name in kept})


class RecurrentLayer:
    """One recurrent layer, called once."""

    def __init__(self, call: OperationCall) -> None:
        """UnsupportedError where it cannot be run with a state from before."""
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
        return tuple(tensor for cell in self._cells for tensor in cell.state)

    def run(
        self,
        x: tf.Tensor,  # (batch, time, features)
        mask: tf.Tensor | None,  # (batch, time): what the model itself leaves out
        lengths: tf.Tensor,  # (batch,)
        before: Tensors,
    ) -> tuple[Any, Tensors]:
        """What the layer gives, and the state after each row's length."""
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
        self._gives_state = type(cell) in _LETTERS
        self.state = _state(layer, name, self._loop)

    def run(
        self, x: tf.Tensor, mask: tf.Tensor | None, lengths: tf.Tensor, before: Tensors
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        initial = [before[tensor.name] for tensor in self.state]
        # A masked position leaves the state as it was: each row ends with the state of its own length.
        valid = tf.sequence_mask(lengths, tf.shape(x)[1])
        given = valid if mask is None else valid & mask
        x, *after = self._loop(x, initial_state=initial, mask=given)
        if mask is not None and not self._layer.zero_output_for_mask:
            x = self._with_earlier_output(x, mask, initial[0])
        return x, {tensor.name: value for tensor, value in zip(self.state, after, strict=True)}

    def _with_earlier_output(self, x: tf.Tensor, mask: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
        """A masked position repeats the output before it: the first ones, that of the call before."""
        if not self._gives_state:
            raise UnsupportedError(
                f"{described(self._layer)} takes a mask (mask_zero, Masking), and its cell is not one of "
                f"{', '.join(kind.__name__ for kind in _LETTERS)}"
            )
        begun = tf.cumsum(tf.cast(mask, tf.int32), axis=1) > 0
        return tf.where(begun[:, :, None], x, tf.cast(before, x.dtype)[:, None])


def last(x: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """(batch, 1, features): of (batch, time, features), what is at the end of each row's length."""
    return tf.gather(x, lengths[:, None] - 1, batch_dims=1)


def identifier(name: str) -> str:
    """A layer's name as part of a tensor's."""
    name = re.sub("[^A-Za-z0-9_]", "_", name)
    return name if re.match("[A-Za-z]", name) else f"layer_{name}"


def _check(call: OperationCall) -> None:
    layer = call.operation
    if type(layer) not in LOOPS:
        raise UnsupportedError(
            f"{described(layer)} is not one of {', '.join(kind.__name__ for kind in LOOPS)} itself"
        )
    if layer.go_backwards:
        raise UnsupportedError(f"{described(layer)} reads backwards (go_backwards): no step can do that")
    if len(call.sources) > 1:
        raise UnsupportedError(
            f"{described(layer)} begins with a state that another layer computes (initial_state); a session "
            "begins with the same state whatever its text is"
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
        raise UnsupportedError(f"{described(layer)}: state {name!r} does not begin with one value everywhere")
    dtype = keras.backend.standardize_dtype(value.dtype)
    return StateTensor(name, dtype, tuple(value.shape[1:]), float(initial[0]))
