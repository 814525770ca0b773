"""Sources of weights: which tensors of a checkpoint a weight needs, and how it is computed from them.

A source is only a recipe. A weight is computed when it is read, from tensors that are read for it alone, so
that the whole model is never in memory at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from contract.tensors import Array, Shape
from export.transformer_model.description import Transformer

ReadTensor: TypeAlias = Callable[[str, Shape], Array]
"""Returns the tensor of a name, which must have the shape; its dtype is any floating one."""


@dataclass(frozen=True)
class WeightSource:
    """The recipe of one weight."""

    needs: Mapping[str, Shape]
    """The tensors of the checkpoint that it is made from, and the shapes that they must have."""
    make: Callable[[Mapping[str, Array]], Array]
    """Computes the weight from these tensors; each lookup in the mapping reads a tensor."""

    def read(self, read: ReadTensor) -> Array:
        """Returns the weight, made from tensors that `read` returns."""
        return self.make(_Tensors(self.needs, read))

    def then(self, change: Callable[[Array], Array]) -> "WeightSource":
        """Returns the source of `change(weight)`."""
        return WeightSource(self.needs, lambda tensors: change(self.make(tensors)))

    @property
    def transposed(self) -> "WeightSource":
        """The source of the weight with its axes reversed."""
        return self.then(np.transpose)

    def rows(self, begin: int, end: int) -> "WeightSource":
        """Returns the source of `weight[begin:end]`."""
        return self.then(lambda value: value[begin:end])


class _Tensors(Mapping[str, Array]):
    """The tensors that a source needs, read at each lookup and not kept."""

    def __init__(self, needs: Mapping[str, Shape], read: ReadTensor) -> None:
        self._needs = needs
        self._read = read

    def __getitem__(self, name: str) -> Array:
        return self._read(name, self._needs[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._needs)

    def __len__(self) -> int:
        return len(self._needs)


WeightSources: TypeAlias = dict[str, WeightSource]
"""The sources by the names of the weights, which `transformer_model.weights` lists."""


def tensor(name: str, *shape: int) -> WeightSource:
    """Returns the source of a weight that is a tensor of the checkpoint, unchanged."""
    return WeightSource({name: shape}, lambda tensors: tensors[name])


def linear(name: str, inputs: int, outputs: int) -> WeightSource:
    """Returns the source of a kernel (inputs, outputs) that the checkpoint stores as (outputs, inputs)."""
    return tensor(name, outputs, inputs).transposed


def joined(*sources: WeightSource, axis: int = -1) -> WeightSource:
    """Returns the source of several weights, concatenated along `axis`."""
    return together(lambda *values: np.concatenate(values, axis), *sources)


def together(make: Callable[..., Array], *sources: WeightSource) -> WeightSource:
    """Returns the source of `make(*weights)`, for the weights of several sources."""
    return WeightSource(_needs(sources), lambda tensors: make(*(source.make(tensors) for source in sources)))


def stacked(*sources: WeightSource) -> WeightSource:
    """Returns the source of several weights, stacked along a new first axis.

    Only one of them at a time is in memory beside the result.
    """

    def make(tensors: Mapping[str, Array]) -> Array:
        first = sources[0].make(tensors)
        whole = np.empty((len(sources), *first.shape), first.dtype)
        whole[0] = first
        del first
        for place, source in zip(whole[1:], sources[1:], strict=True):
            place[...] = source.make(tensors)
        return whole

    return WeightSource(_needs(sources), make)


def _needs(sources: Iterable[WeightSource]) -> dict[str, Shape]:
    return {name: shape for source in sources for name, shape in source.needs.items()}


def zeros(*shape: int) -> WeightSource:
    """Returns the source of a float32 weight of zeros, which needs no tensor."""
    return WeightSource({}, lambda _: np.zeros(shape, np.float32))


class DescribedModel(NamedTuple):
    """A model, the sources of its weights, and the function that reads the checkpoint's tensors."""

    model: Transformer
    sources: WeightSources
    read: ReadTensor
