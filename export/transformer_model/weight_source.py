"""Where a weight of a described model comes from: tensors of a checkpoint, and what is made of them.

A weight is made when it is asked for, from tensors that are read for it alone, so that a model never lies in
memory as a whole. Knows neither families nor files.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from export.transformer_model.description import Transformer

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
ReadTensor: TypeAlias = Callable[[str, Shape], Array]
"""The tensor of a name, which has the shape; of any floating dtype."""


@dataclass(frozen=True)
class WeightSource:
    """One weight."""

    needs: Mapping[str, Shape]
    """Tensors of the checkpoint, and the shapes that they must have."""
    make: Callable[[Mapping[str, Array]], Array]
    """From these tensors, each of which is read when it is looked up."""

    def read(self, read: ReadTensor) -> Array:
        return self.make(_Tensors(self.needs, read))

    def then(self, change: Callable[[Array], Array]) -> "WeightSource":
        return WeightSource(self.needs, lambda tensors: change(self.make(tensors)))

    @property
    def transposed(self) -> "WeightSource":
        return self.then(np.transpose)

    def rows(self, begin: int, end: int) -> "WeightSource":
        """These of the first axis."""
        return self.then(lambda value: value[begin:end])


class _Tensors(Mapping[str, Array]):
    """Keeps none of them."""

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
"""By the weights' names (transformer_model/weights.py)."""


def tensor(name: str, *shape: int) -> WeightSource:
    """A tensor as it is."""
    return WeightSource({name: shape}, lambda tensors: tensors[name])


def linear(name: str, inputs: int, outputs: int) -> WeightSource:
    """The matrix of a layer that stores it as (outputs, inputs)."""
    return tensor(name, outputs, inputs).transposed


def joined(*sources: WeightSource, axis: int = -1) -> WeightSource:
    """One weight of several, along an axis."""
    return together(lambda *values: np.concatenate(values, axis), *sources)


def together(make: Callable[..., Array], *sources: WeightSource) -> WeightSource:
    """What `make` gives for the weights of several sources."""
    return WeightSource(_needs(sources), lambda tensors: make(*(source.make(tensors) for source in sources)))


def stacked(*sources: WeightSource) -> WeightSource:
    """One weight of several, along a new first axis; of these, one at a time lies in memory beside it."""

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
    return WeightSource({}, lambda _: np.zeros(shape, np.float32))


class DescribedModel(NamedTuple):
    """A model with all that its weights are made from."""

    model: Transformer
    sources: WeightSources
    """By the names of the weights."""
    read: ReadTensor
    """Reads a tensor of the checkpoint."""
