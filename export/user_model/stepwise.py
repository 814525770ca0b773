"""A Keras model with recurrent layers, run step by step with its own layers and weights.

Also runs the model on whole sequences, as a reference. Does not deal with tokenizers and manifests.
"""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from contract.manifest import StateTensor
from export.errors import UnsupportedError
from export.user_model.layer_graph import LayerGraph
from export.user_model.positionwise import described
from export.user_model.recurrent_layer import RecurrentLayer, last, plain


class StepwiseModel:
    """A Keras model that can be run step by step."""

    def __init__(self, model: Any, positionwise: Sequence[str] = ()) -> None:
        """Raises UnsupportedError, naming the part of the model that cannot be run step by step."""
        self._graph = LayerGraph(model, positionwise)
        self._recurrent_layers = _recurrent_layers(self._graph)
        if not self._recurrent_layers:
            raise UnsupportedError(f"model {model.name!r} has no recurrent layer")
        self.vocabulary_size = self._graph.vocabulary_size
        _check_embeddings(self._graph)
        tail = self._graph.tail
        self._end = id(tail[-1]) if tail else None
        logits = without_softmax(tail[0]) if tail else None
        self._replaced: dict[int, Callable[..., Any]] = {id(tail[0]): logits} if logits else {}

    @property
    def state(self) -> tuple[StateTensor, ...]:
        """The state tensors of all cells, in order."""
        return tuple(tensor for layer in self._recurrent_layers.values() for tensor in layer.state)

    @property
    def exact(self) -> bool:
        """Whether all layers compute in float32 or float64."""
        layers = [call.operation for call in self._graph.calls]
        return {getattr(layer, "compute_dtype", "float32") for layer in layers} <= {"float32", "float64"}

    def step(self, tokens: tf.Tensor, lengths: tf.Tensor, **before: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes logits and new state of a batch, as the contract's signature `step` does."""
        after: dict[str, tf.Tensor] = {}

        def run(operation: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
            if layer := self._recurrent_layers.get(id(operation)):
                x, state = layer.run(x, kwargs.get("mask"), lengths, before)
                after.update(state)
                return x
            # From here on, each position is treated by itself: only the last one's logits are computed.
            if id(operation) == self._end and len(x.shape) == 3:
                x = last(x, lengths)
                kwargs.pop("mask", None)
            return self._replaced.get(id(operation), operation)(x, *args, **kwargs)

        logits = self._graph.run(tokens, run)
        if len(logits.shape) == 3:
            logits = logits[:, 0] if self._end else last(logits, lengths)[:, 0]
        return {"logits": tf.cast(logits, tf.float32), **after}

    def reference(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.floating]:
        """Returns the logits (time, vocabulary) that Keras computes for a whole sequence of token ids."""
        tokens = tf.constant(ids[None], tf.int32)
        logits = self._whole(tokens)
        if len(logits.shape) == 3:
            return logits[0].numpy()  # type: ignore[no-any-return]
        ends = range(1, len(ids) + 1)
        return np.concatenate([self._whole(tokens[:, :end]).numpy() for end in ends])

    @cached_property
    def _whole(self) -> Callable[[tf.Tensor], tf.Tensor]:
        def run(operation: Any, *args: Any, **kwargs: Any) -> Any:
            # A stateful or unrolled layer is tied to one batch size or one length.
            if isinstance(operation, keras.layers.RNN) and (operation.stateful or operation.unroll):
                operation = plain(operation)
            return self._replaced.get(id(operation), operation)(*args, **kwargs)

        def whole(tokens: tf.Tensor) -> tf.Tensor:
            return tf.cast(self._graph.run(tokens, run), tf.float32)

        specs = [tf.TensorSpec([1, None], tf.int32)]
        return tf.function(whole, input_signature=specs, autograph=False)  # type: ignore[no-any-return]


def without_softmax(operation: Any) -> Callable[..., Any] | None:
    """Returns a function that does the same as `operation` without its softmax; None if it has none.

    Raises UnsupportedError if the softmax cannot be left out.
    """
    if type(operation).__name__ == "Softmax":
        return _unchanged
    if isinstance(operation, keras.layers.TimeDistributed):
        return without_softmax(operation.layer)
    if getattr(operation, "activation", None) is not keras.activations.softmax:
        return None
    if isinstance(operation, keras.layers.Activation):
        return _unchanged
    if isinstance(operation, keras.layers.Dense) and operation.quantization_mode is None:
        return partial(_linear, operation)
    raise UnsupportedError(
        f"{described(operation)} ends in a softmax that cannot be left out; use activation=None"
    )


def _unchanged(x: tf.Tensor, **_: Any) -> tf.Tensor:
    return x


def _linear(layer: Any, x: tf.Tensor, **_: Any) -> tf.Tensor:
    x = keras.ops.matmul(x, layer.kernel)
    return x if layer.bias is None else keras.ops.add(x, layer.bias)


def _recurrent_layers(graph: LayerGraph) -> dict[int, RecurrentLayer]:
    found: dict[int, RecurrentLayer] = {}
    for call in graph.recurrent_calls:
        if id(call.operation) in found:
            raise UnsupportedError(f"{described(call.operation)} is called twice, with one state for both")
        found[id(call.operation)] = RecurrentLayer(call)
    return found


def _check_embeddings(graph: LayerGraph) -> None:
    for operation in (call.operation for call in graph.calls):
        if isinstance(operation, keras.layers.Embedding) and operation.input_dim < graph.vocabulary_size:
            raise UnsupportedError(
                f"{described(operation)} has {operation.input_dim} entries, "
                f"fewer than the {graph.vocabulary_size} of the model's output"
            )
