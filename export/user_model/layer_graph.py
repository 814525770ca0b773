"""A Keras model as a graph of operations, which can be run with some of them replaced.

Reads functional and Sequential models, also nested ones. Does not deal with state.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras

from export.errors import UnsupportedError
from export.user_model.positionwise import check_positionwise

RunOperation: TypeAlias = Callable[..., Any]
"""Called with an operation of the graph and the arguments of its call; returns the operation's output."""

RECURRENT_LAYERS = (keras.layers.LSTM, keras.layers.GRU, keras.layers.SimpleRNN, keras.layers.RNN)


@dataclass(frozen=True, eq=False)
class OperationCall:
    """One call of an operation in the graph."""

    operation: Any
    """None: the model's input."""
    sources: tuple["OperationCall", ...] = ()
    """The calls whose outputs are its inputs, without masks."""


class LayerGraph:
    """The graph of a model from token ids (batch, time) to one value for each entry of a vocabulary."""

    def __init__(self, model: Any, positionwise: Sequence[str] = ()) -> None:
        """Reads the graph of `model`.

        `positionwise` names layers of unknown types that treat each position by itself. Raises
        UnsupportedError for a model that cannot be run step by step.
        """
        self._model = functional(model)
        self.input = _input(self._model)
        self.vocabulary_size = _vocabulary_size(self._model)
        self.calls = _calls(self._model)
        _check_names(self.calls, positionwise)
        for call in self.calls:
            if not isinstance(call.operation, keras.layers.RNN) and call.operation.name not in positionwise:
                check_positionwise(call.operation)

    @property
    def recurrent_calls(self) -> list[OperationCall]:
        """The calls of recurrent layers, in the order in which they run."""
        return [call for call in self.calls if isinstance(call.operation, keras.layers.RNN)]

    @property
    def tail(self) -> list[Any]:
        """The operations after the last branch or recurrent layer, the model's last operation first.

        Each of them is called once and has one input.
        """
        times = Counter(id(call.operation) for call in self.calls)
        last, tail = self.calls[-1], []
        while len(last.sources) == 1 and times[id(last.operation)] == 1:
            if isinstance(last.operation, keras.layers.RNN):
                break
            tail.append(last.operation)
            last = last.sources[0]
        return tail

    def run(self, tokens: Any, run: RunOperation) -> Any:
        """Runs the model, each operation through `run`; returns the model's output."""
        return _walk(self._model, [keras.ops.cast(tokens, self.input.dtype)], run)


def functional(model: Any) -> Any:
    """Returns the model as a functional model with one input and one output.

    Raises UnsupportedError if it has no graph of layers, or another number of inputs or outputs.
    """
    if not isinstance(model, keras.Model):
        raise UnsupportedError(f"the model must be a keras.Model, not {type(model).__name__}")
    try:
        graph = keras.Model(model.inputs, model.outputs, name=model.name)
    except AttributeError:
        raise UnsupportedError(_without_graph(model)) from None
    if type(model).call not in (type(graph).call, keras.Sequential.call):
        raise UnsupportedError(f"model {model.name!r} has a `call` of its own: write its step by hand")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UnsupportedError(
            f"model {model.name!r} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, "
            "not one of each"
        )
    return graph


def _without_graph(model: Any) -> str:
    if isinstance(model, keras.Sequential):
        return f"model {model.name!r} is not built: call it once, or begin it with keras.Input"
    return f"model {model.name!r} ({type(model).__name__}) has no graph of layers: write its step by hand"


def _input(graph: Any) -> Any:
    tensor = graph.inputs[0]
    if tensor.dtype == "string" or len(tensor.shape) != 2:
        raise UnsupportedError(
            f"input {tensor.name!r} of model {graph.name!r} is {tensor.dtype} {tensor.shape}; "
            "it must be token ids (batch, time)"
        )
    return tensor


def _vocabulary_size(graph: Any) -> int:
    shape = graph.outputs[0].shape
    if len(shape) not in (2, 3) or shape[-1] is None:
        raise UnsupportedError(
            f"the output of model {graph.name!r} has shape {shape}, "
            "not (batch, time, vocabulary) or (batch, vocabulary)"
        )
    return int(shape[-1])


def _walk(graph: Any, inputs: list[Any], run: RunOperation) -> Any:
    """Runs the operations of a graph in order, and those of nested models in their place."""

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(operation, keras.Model):
            return run(operation, *args, **kwargs)
        if kwargs.get("mask") is not None:
            raise UnsupportedError(f"model {operation.name!r} inside of another model takes a mask")
        return _walk(functional(operation), [args[0]], run)

    # Keras's public way to run a graph with other calls (clone_model) does not enter nested models.
    return graph._run_through_graph(inputs, call_fn=call)[0]


def _calls(graph: Any) -> list[OperationCall]:
    found = []

    def note(operation: Any, *args: Any, **kwargs: Any) -> Any:
        outputs = keras.tree.flatten(operation.output)
        sources = [value for value in keras.tree.flatten((args, kwargs)) if isinstance(value, OperationCall)]
        call = OperationCall(operation, tuple(sources))
        if all(tensor.dtype == "bool" for tensor in outputs):
            return [None] * len(outputs)
        found.append(call)
        return [call] * len(outputs)

    last = _walk(graph, [OperationCall(None)], note)
    return [call for call in found if call is not last] + [last]


def _check_names(calls: list[OperationCall], positionwise: Sequence[str]) -> None:
    known = {call.operation.name for call in calls}
    if unknown := [name for name in positionwise if name not in known]:
        raise UnsupportedError(
            f"positionwise names {unknown[0]!r}; the model's layers are {', '.join(sorted(known))}"
        )
