"""Where a weight of a described model comes from: tensors of a checkpoint, and what is made of them.

A weight is made when it is asked for, from tensors that are read for it alone, so that a model never lies in
memory as a whole. Knows neither families nor files.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]
Read: TypeAlias = Callable[[str, Shape], Array]
"""The tensor of a name, which has the shape; of any floating dtype."""


@dataclass(frozen=True)
class Source:
    """One weight."""

    needs: Mapping[str, Shape]
    """Tensors of the checkpoint, and the shapes that they must have."""
    make: Callable[[Mapping[str, Array]], Array]
    """From these tensors, each of which is read when it is looked up."""

    def read(self, read: Read) -> Array:
        return self.make(_Tensors(self.needs, read))

    def then(self, change: Callable[[Array], Array]) -> "Source":
        return Source(self.needs, lambda tensors: change(self.make(tensors)))

    @property
    def transposed(self) -> "Source":
        return self.then(np.transpose)

    def rows(self, begin: int, end: int) -> "Source":
        """These of the first axis."""
        return self.then(lambda value: value[begin:end])


class _Tensors(Mapping[str, Array]):
    """Keeps none of them."""

    def __init__(self, needs: Mapping[str, Shape], read: Read) -> None:
        self._needs = needs
        self._read = read

    def __getitem__(self, name: str) -> Array:
        return self._read(name, self._needs[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._needs)

    def __len__(self) -> int:
        return len(self._needs)


Sources: TypeAlias = dict[str, Source]
"""By the weights' names (export/weights.py)."""


def tensor(name: str, *shape: int) -> Source:
    """A tensor as it is."""
    return Source({name: shape}, lambda tensors: tensors[name])


def linear(name: str, inputs: int, outputs: int) -> Source:
    """The matrix of a layer that stores it as (outputs, inputs)."""
    return tensor(name, outputs, inputs).transposed


def joined(*sources: Source, axis: int = -1) -> Source:
    """One weight of several, along an axis."""
    return together(lambda *values: np.concatenate(values, axis), *sources)


def together(make: Callable[..., Array], *sources: Source) -> Source:
    """What `make` gives for the weights of several sources."""
    return Source(_needs(sources), lambda tensors: make(*(source.make(tensors) for source in sources)))


def stacked(*sources: Source) -> Source:
    """One weight of several, along a new first axis; of these, one at a time lies in memory beside it."""

    def make(tensors: Mapping[str, Array]) -> Array:
        first = sources[0].make(tensors)
        whole = np.empty((len(sources), *first.shape), first.dtype)
        whole[0] = first
        del first
        for place, source in zip(whole[1:], sources[1:], strict=True):
            place[...] = source.make(tensors)
        return whole

    return Source(_needs(sources), make)


def _needs(sources: Iterable[Source]) -> dict[str, Shape]:
    return {name: shape for source in sources for name, shape in source.needs.items()}


def zeros(*shape: int) -> Source:
    return Source({}, lambda _: np.zeros(shape, np.float32))
