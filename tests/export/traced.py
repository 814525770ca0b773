"""Steppers over models that are only traced: not written, and without sampling in the graph.

Tests of a model need neither, and both take longer than the model itself.
"""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from contract import names
from contract.tensors import Array, Ids
from export.signatures import step_signature
from export.signatures.decode_loop import DecodeRows, DecodeStep
from export.signatures.pool import PoolVariables
from export.signatures.pool_view import GatheredSlots, PoolView, SlotTokens
from export.signatures.servable import ExportedModel, ResidentModel
from export.transformer_model.pieces import Pieces
from export.verification.stepper import Stepper

EPOCH = 1


class TracedStepper(Stepper):
    """A traced model of the explicit layout, without `decode`."""

    def __init__(self, exported: ExportedModel) -> None:
        self.manifest = exported.manifest
        self.tokenizer = exported.tokenizer
        self._step = step_signature.trace(exported)

    def call(self, signature: str, feeds: dict[str, Array]) -> dict[str, Array]:
        assert signature == names.STEP_SIGNATURE, f"{signature} is not traced"
        answer = self._step(**{name: tf.constant(value) for name, value in feeds.items()})
        return {name: value.numpy() for name, value in answer.items()}


class TracedPool:
    """A traced model of the resident layout, with the logits of every token of a call."""

    def __init__(self, exported: ExportedModel) -> None:
        assert isinstance(exported.step, ResidentModel)
        self._forward = exported.step.forward
        self._pool = PoolVariables(exported.step.layout)
        ids, per_row = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
        self._prefill = tf.function(self._prefilled, [ids, per_row, per_row, per_row], autograph=False)
        self._decode = tf.function(self._decoded, [per_row, per_row], autograph=False)

    def claim(self, slots: int) -> None:
        """Claims a pool of zeros with `slots` slots in every block."""
        self._pool.claim(tf.constant(EPOCH, tf.int64), tf.fill([self._pool.layout.blocks], slots))

    def prefill(self, rows: Sequence[Ids], slots: Sequence[int], starts: Sequence[int]) -> list[Array]:
        """Returns logits (time, vocabulary) for `rows`, which follow the first `starts` tokens of `slots`."""
        lengths = [len(row) for row in rows]
        padded = np.zeros((len(rows), max(lengths)), np.int32)
        for row, ids in zip(padded, rows, strict=True):
            row[: len(ids)] = ids
        logits = self._prefill(padded, lengths, slots, starts).numpy()
        return [row[:length] for row, length in zip(logits, lengths, strict=True)]

    def decode(self, tokens: Sequence[int], positions: Sequence[int]) -> Array:
        """Runs one step of slots 0, 1, ...; returns the logits (rows, vocabulary)."""
        return self._decode(tokens, positions).numpy()

    def _prefilled(
        self, tokens: tf.Tensor, lengths: tf.Tensor, slots: tf.Tensor, starts: tf.Tensor
    ) -> tf.Tensor:
        claimed = self._pool.check_lease(tf.constant(EPOCH, tf.int64))
        pieces = Pieces.of(tokens, lengths)
        group = SlotTokens(self._pool.layout, claimed, GatheredSlots(slots), starts, pieces)
        flat = pieces.flat(tokens)
        logits = self._forward(flat, group.positions, tf.range(tf.size(flat)), PoolView(self._pool, group))
        return tf.gather(logits, pieces.grid)

    def _decoded(self, tokens: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
        claimed = self._pool.check_lease(tf.constant(EPOCH, tf.int64))
        step = DecodeStep(self._forward, self._pool, claimed, sampler=None)
        return step.logits(DecodeRows(tokens, positions, budget=tf.ones_like(tokens)))
