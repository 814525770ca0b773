"""A model that is ready to be written: what every family hands to the writer and the verifier."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from contract.manifest import Manifest
from export.signatures.pool import Layout

if TYPE_CHECKING:
    from export.signatures.pool_view import PoolView

Tensors: TypeAlias = Mapping[str, Any]

Step: TypeAlias = Callable[..., dict[str, tf.Tensor]]
"""Called by keyword with `tokens`, `lengths` and each state tensor; returns `logits` and the state."""


class Reference(Protocol):
    """The model, computed in some other way."""

    def __call__(
        self, texts: Sequence[npt.NDArray[np.int32]], last: int = 0
    ) -> Sequence[npt.NDArray[np.floating]]:
        """For each of some texts' ids logits (positions, vocabulary) after its `last` tokens, or 0: all."""


Forward: TypeAlias = Callable[[tf.Tensor, tf.Tensor, tf.Tensor, "PoolView"], tf.Tensor]
"""(tokens (batch, steps), starts (batch,), places (any,), view) -> logits float32 (any, vocabulary).

Rows hold `starts` tokens; the logits are those after the tokens at `places` among all batch * steps.
"""


@dataclass(frozen=True)
class ResidentModel:
    """A model over a pool."""

    layout: Layout
    forward: Forward
    """Reads the weights itself, inside of a signature's loop: what a loop is handed costs it time."""


@dataclass(frozen=True)
class ExportedModel:
    """One model with all that its serving needs."""

    manifest: Manifest
    tokenizer: bytes
    step: Step | ResidentModel
    """Of the layout that the manifest names."""
    reference: Reference | None = None
    """None: the verifier compares the servable only with itself."""
    exact: bool = True
    """Errors above float32's rounding fail the verification."""
    weights: tuple[tf.Variable, ...] = ()
    """Forgotten once they are written, before what was written is loaded: only one of both lies in memory."""
