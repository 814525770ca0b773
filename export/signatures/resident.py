"""The signatures of the resident layout: a model's forward pass over a pool, with sampling in the graph.

Knows no family: a model is one function from tokens and a view of the pool to logits.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from contract import manifest, names
from export.sampling import sampler
from export.sampling.sampler import Sampler
from export.signatures import decode_loop
from export.signatures.pool import Held, PoolVariables
from export.signatures.pool_view import Gathered, PoolView
from export.signatures.servable import ExportedModel, ResidentModel

Tensors: TypeAlias = dict[str, tf.Tensor]
Specs: TypeAlias = dict[str, tf.TensorSpec]
Function: TypeAlias = tf.types.experimental.ConcreteFunction

MAX_STEPS = 64


def describe(model: ResidentModel) -> manifest.Pool:
    """What the manifest says of the pool that `model` needs."""
    layout = model.layout
    return manifest.Pool(layout.bytes_per_block, layout.block_size, layout.blocks, MAX_STEPS)


def trace(servable: ExportedModel) -> dict[str, Function]:
    """Every signature but the manifest's, by name."""
    model = servable.step
    assert isinstance(model, ResidentModel), "a resident manifest needs a resident model"
    signatures = Signatures(model)
    return {
        names.CLAIM_SIGNATURE: _traced(signatures.claim, CLAIM_INPUTS),
        names.MOVE_SIGNATURE: _traced(signatures.move, MOVE_INPUTS),
        names.PREFILL_SIGNATURE: _traced(signatures.prefill, PREFILL_INPUTS),
        names.DECODE_SIGNATURE: _traced(signatures.decode, DECODE_INPUTS),
    }


class Signatures:
    """The functions behind the signatures; what touches the pool does so after the checks."""

    def __init__(self, model: ResidentModel) -> None:
        self._model = model
        self._pool = PoolVariables(model.layout)

    def claim(self, epoch: tf.Tensor, slots: tf.Tensor) -> Tensors:
        return {names.EPOCH: self._pool.claim(epoch, slots)}

    def move(self, epoch: tf.Tensor, sources: tf.Tensor, targets: tf.Tensor, blocks: tf.Tensor) -> Tensors:
        held = self._pool.check(epoch)
        with tf.control_dependencies(_within(held, sources) + _within(held, targets)):
            moved = self._pool.move(sources, targets, blocks, held)
        with tf.control_dependencies(moved):
            return {names.EPOCH: tf.identity(epoch)}

    def prefill(
        self,
        epoch: tf.Tensor,
        tokens: tf.Tensor,  # (batch, steps)
        lengths: tf.Tensor,
        slots: tf.Tensor,
        starts: tf.Tensor,
        **sampling: tf.Tensor,
    ) -> Tensors:
        held = self._pool.check(epoch)
        with tf.control_dependencies(_within(held, slots)):
            rows = Gathered(tf.identity(slots))
        view = PoolView(self._pool, held, rows, starts, lengths, tf.shape(tokens)[1])
        chosen = Sampler.from_inputs(sampling)
        places, real = _last_places(tokens, lengths, chosen.steps)
        logits = self._model.forward(tokens, starts, tf.reshape(places, [-1]), view)
        each = tf.reshape(logits, [chosen.steps, tf.shape(tokens)[0], logits.shape[-1]])
        return sampler.outputs(chosen.sample_all(each, real))

    def decode(
        self,
        epoch: tf.Tensor,
        tokens: tf.Tensor,
        positions: tf.Tensor,
        budget: tf.Tensor,
        stop_tokens: tf.Tensor,  # (rows, any)
        **sampling: tf.Tensor,
    ) -> Tensors:
        held = self._pool.check(epoch)
        with tf.control_dependencies(_within(held, tf.shape(tokens) - 1)):
            rows = decode_loop.DecodeRows(tf.identity(tokens), positions, budget)
        step = decode_loop.DecodeStep(self._model.forward, self._pool, held, Sampler.from_inputs(sampling))
        return sampler.outputs(decode_loop.run(step, rows, stop_tokens))


def _within(held: Held, slots: tf.Tensor) -> list[tf.Operation]:
    """Checks that the pool has these slots: rows of others would be rows of their neighbours."""
    return [
        tf.debugging.assert_less(slots, held.slots[0], "no such slot"),
        tf.debugging.assert_non_negative(slots, "no such slot"),
    ]


def _last_places(tokens: tf.Tensor, lengths: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(count, batch): where each row's last tokens are among all, and whether it has as many.

    Its very last one stands in for any after.
    """
    batch, steps = tf.unstack(tf.shape(tokens))
    own, step = tf.minimum(lengths, count), tf.range(count)[:, None]
    return tf.range(batch) * steps + lengths - own + tf.minimum(step, own - 1), step < own


def _specs(**inputs: tuple[tf.DType, int]) -> Specs:
    """From dtypes and ranks."""
    return {name: tf.TensorSpec([None] * rank, dtype, name) for name, (dtype, rank) in inputs.items()}


CLAIM_INPUTS = _specs(epoch=(tf.int64, 0), slots=(tf.int32, 1))
MOVE_INPUTS = _specs(epoch=(tf.int64, 0), sources=(tf.int32, 1), targets=(tf.int32, 1), blocks=(tf.int32, 1))
PREFILL_INPUTS = sampler.INPUTS | _specs(
    epoch=(tf.int64, 0),
    tokens=(tf.int32, 2),
    lengths=(tf.int32, 1),
    slots=(tf.int32, 1),
    starts=(tf.int32, 1),
)
DECODE_INPUTS = sampler.INPUTS | _specs(
    epoch=(tf.int64, 0),
    tokens=(tf.int32, 1),
    positions=(tf.int32, 1),
    budget=(tf.int32, 1),
    stop_tokens=(tf.int32, 2),
)


def _traced(function: Callable[..., Tensors], inputs: Specs) -> Function:
    return tf.function(function, autograph=False).get_concrete_function(**inputs)
