"""Where a weight of a described model comes from: tensors of a checkpoint, and what is made of them.

A weight is made when it is asked for, from tensors that are read for it alone, so that a model never lies in
memory as a whole. Knows neither families nor files.
"""

from collections.abc import Callable, Mapping
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
    """From these tensors."""

    def read(self, read: Read) -> Array:
        return self.make({name: read(name, shape) for name, shape in self.needs.items()})

    def then(self, change: Callable[[Array], Array]) -> "Source":
        return Source(self.needs, lambda tensors: change(self.make(tensors)))

    @property
    def transposed(self) -> "Source":
        return self.then(np.transpose)

    def rows(self, begin: int, end: int) -> "Source":
        """These of the first axis."""
        return self.then(lambda value: value[begin:end])


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
    needs = {name: shape for source in sources for name, shape in source.needs.items()}
    return Source(needs, lambda tensors: make(*(source.make(tensors) for source in sources)))


def zeros(*shape: int) -> Source:
    return Source({}, lambda _: np.zeros(shape, np.float32))
