"""The `step` signature, called with a state that stays where it is. Nothing is sampled or appended."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from contract import names
from contract.manifest import Manifest


class ExplicitSteps:
    """A loaded servable with explicit state, and the inputs of steps that have been run."""

    def __init__(self, servable: str) -> None:
        self._signatures = tf.saved_model.load(servable).signatures
        manifest = self._signatures[names.MANIFEST_SIGNATURE]()[names.MANIFEST].numpy()
        self._state = Manifest.from_json(manifest).state
        self._known: tuple[tuple[int, int], dict[str, Any]] | None = None

    def decode(self, batch: int, past: int, slots: int) -> Callable[[], object]:  # noqa: ARG002
        inputs = self._inputs(batch, past)
        step = self._signatures[names.STEP_SIGNATURE]
        return lambda: step(**inputs)

    def prefill(self, batch: int, tokens: int, slots: int) -> Callable[[], object]:  # noqa: ARG002
        step, inputs = self._signatures[names.STEP_SIGNATURE], _tokens(batch, tokens) | self._empty(batch)
        return lambda: step(**inputs)

    def _inputs(self, batch: int, past: int) -> dict[str, Any]:
        """A step's inputs after `past` tokens in every row; the last ones are kept."""
        if self._known is None or self._known[0] != (batch, past):
            answer = self.prefill(batch, past, batch)()
            assert isinstance(answer, dict)
            inputs = _tokens(batch, 1) | {t.name: answer[t.name] for t in self._state}
            self._known = ((batch, past), inputs)
        return self._known[1]

    def _empty(self, batch: int) -> dict[str, Any]:
        return {
            t.name: tf.constant(np.full((batch, *t.shape), t.initial, t.numpy_dtype)) for t in self._state
        }


def _tokens(batch: int, count: int) -> dict[str, Any]:
    return {
        names.TOKENS: tf.ones([batch, count], tf.int32),
        names.LENGTHS: tf.fill([batch], count),
    }
