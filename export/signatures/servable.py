"""A model that is ready to be written: what every kind of source returns, for the writer and the verifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from contract.manifest import Manifest
from export.signatures.pool import PoolLayout

if TYPE_CHECKING:
    from export.signatures.pool_view import PoolView

NamedTensors: TypeAlias = dict[str, tf.Tensor]
"""Inputs, outputs or state tensors of a signature, by name."""

ConcreteFunction: TypeAlias = tf.types.experimental.ConcreteFunction
"""A traced signature."""

StepFunction: TypeAlias = Callable[..., NamedTensors]
"""The function behind `step`: takes `tokens`, `lengths` and each state tensor by keyword.

Returns `logits` and the state after the call; of a growing tensor only the new entries.
"""


class Reference(Protocol):
    """The same model, computed independently of the exported graph."""

    def __call__(
        self, sequences: Sequence[npt.NDArray[np.int32]], last: int = 0
    ) -> Sequence[npt.NDArray[np.floating]]:
        """Returns the logits (positions, vocabulary) of each sequence of token ids (time,).

        They are those after the `last` tokens of each sequence, or after every token where `last` is 0.
        """


ResidentForward: TypeAlias = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, "PoolView"], tf.Tensor]
"""(tokens (tokens,), positions (tokens,), indices (selected,), view) -> logits (selected, vocabulary).

The tokens of all rows form one axis. The logits are float32, after the tokens at `indices`.
"""


@dataclass(frozen=True)
class ResidentModel:
    """A model whose keys and values lie in a pool."""

    layout: PoolLayout
    forward: ResidentForward
    """Captures the weights, and reads them inside the loop of `decode`: each loop input costs time."""


@dataclass(frozen=True)
class ExportedModel:
    """One model with everything that serving and verifying it needs."""

    manifest: Manifest
    tokenizer: bytes
    step: StepFunction | ResidentModel
    """A StepFunction for the explicit layout, a ResidentModel for the resident one."""
    reference: Reference | None = None
    """None: the servable is verified only against itself."""
    exact: bool = True
    """Whether the verification allows no larger errors than those of float32 rounding."""
    weights: tuple[tf.Variable, ...] = ()
    """Freed when they have been written, so that they are not in memory beside the loaded servable."""
