"""The signatures of the resident layout: a model's forward pass over a pool, with sampling in the graph.

The model is any function from tokens and a view of the pool to logits.
"""

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

from contract import manifest, names
from export.sampling import sampler
from export.sampling.sampler import Sampler
from export.signatures import decode_loop
from export.signatures.pool import ClaimedPool, PoolVariables
from export.signatures.pool_view import GatheredSlots, PoolView
from export.signatures.servable import ConcreteFunction, ExportedModel, NamedTensors, ResidentModel

TensorSpecs: TypeAlias = dict[str, tf.TensorSpec]

MAX_STEPS = 64
"""The `max_steps` of manifests; the graph itself takes any number of steps."""


def describe(model: ResidentModel) -> manifest.Pool:
    """Returns the manifest's description of the pool that `model` needs."""
    layout = model.layout
    return manifest.Pool(layout.bytes_per_block, layout.block_size, layout.blocks, MAX_STEPS)


def trace(exported: ExportedModel) -> dict[str, ConcreteFunction]:
    """Traces every signature but `manifest`; returns them by name."""
    model = exported.step
    assert isinstance(model, ResidentModel), "a resident manifest needs a resident model"
    signatures = ResidentSignatures(model)
    return {
        names.CLAIM_SIGNATURE: _traced(signatures.claim, CLAIM_INPUTS),
        names.MOVE_SIGNATURE: _traced(signatures.move, MOVE_INPUTS),
        names.PREFILL_SIGNATURE: _traced(signatures.prefill, PREFILL_INPUTS),
        names.DECODE_SIGNATURE: _traced(signatures.decode, DECODE_INPUTS),
    }


class ResidentSignatures:
    """The functions behind the signatures, with the inputs that `contract.names` documents.

    All but `claim` check the lease and the slots before they read or write the pool.
    """

    def __init__(self, model: ResidentModel) -> None:
        self._model = model
        self._pool = PoolVariables(model.layout)

    def claim(self, epoch: tf.Tensor, slots: tf.Tensor) -> NamedTensors:
        """Creates the pool, filled with zeros; returns the epoch."""
        return {names.EPOCH: self._pool.claim(epoch, slots)}

    def move(
        self, epoch: tf.Tensor, sources: tf.Tensor, targets: tf.Tensor, blocks: tf.Tensor
    ) -> NamedTensors:
        """Copies blocks of slots to other slots; returns the epoch."""
        claimed = self._pool.check_lease(epoch)
        with tf.control_dependencies(_slots_exist(claimed, sources) + _slots_exist(claimed, targets)):
            moved = self._pool.move(sources, targets, blocks, claimed)
        with tf.control_dependencies(moved):
            return {names.EPOCH: tf.identity(epoch)}

    def prefill(
        self,
        epoch: tf.Tensor,
        tokens: tf.Tensor,  # (batch, steps)
        lengths: tf.Tensor,
        slots: tf.Tensor,
        starts: tf.Tensor,
        **sampling_inputs: tf.Tensor,
    ) -> NamedTensors:
        """Writes tokens into slots, and samples a token after each of a row's last ones."""
        claimed = self._pool.check_lease(epoch)
        with tf.control_dependencies(_slots_exist(claimed, slots)):
            rows = GatheredSlots(tf.identity(slots))
        view = PoolView(self._pool, claimed, rows, starts, lengths, tf.shape(tokens)[1])
        sampling = Sampler.from_inputs(sampling_inputs)
        indices, real = _last_tokens(tokens, lengths, sampling.steps)
        logits = self._model.forward(tokens, starts, tf.reshape(indices, [-1]), view)
        each = tf.reshape(logits, [sampling.steps, tf.shape(tokens)[0], logits.shape[-1]])
        return sampler.outputs(sampling.sample_all(each, real))

    def decode(
        self,
        epoch: tf.Tensor,
        tokens: tf.Tensor,
        positions: tf.Tensor,
        budget: tf.Tensor,
        stop_tokens: tf.Tensor,  # (rows, any)
        **sampling_inputs: tf.Tensor,
    ) -> NamedTensors:
        """Runs several decode steps of slots 0, 1, ..., one for each row; waits for its turn first."""
        turn = self._pool.take_turn()
        with tf.control_dependencies([turn]):
            claimed = self._pool.check_lease(epoch)
        with tf.control_dependencies(_slots_exist(claimed, tf.shape(tokens) - 1)):
            progress = self._pool.read_progress(tf.size(tokens))
        rows = decode_loop.begin(tokens, positions, budget, progress)
        sampling = Sampler.from_inputs(sampling_inputs)
        step = decode_loop.DecodeStep(self._model.forward, self._pool, claimed, sampling)
        ended, sampled = decode_loop.run(step, rows, stop_tokens)
        slots = tf.reshape(tf.where(rows.active), [-1])
        written = self._pool.write_progress(
            slots, tf.gather(decode_loop.progress(ended, sampled, stop_tokens), slots)
        )
        with tf.control_dependencies([written]):
            tf.raw_ops.ConsumeMutexLock(mutex_lock=turn)
        return sampler.outputs(sampled)


def _slots_exist(claimed: ClaimedPool, slots: tf.Tensor) -> list[tf.Operation]:
    """Returns checks that the pool has these slots; others would read and write entries of existing ones."""
    return [
        tf.debugging.assert_less(slots, claimed.slots[0], "no such slot"),
        tf.debugging.assert_non_negative(slots, "no such slot"),
    ]


def _last_tokens(tokens: tf.Tensor, lengths: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the flat indices of each row's last `count` tokens, and which are real, both (count, batch).

    A row with fewer tokens repeats its last one.
    """
    batch, steps = tf.unstack(tf.shape(tokens))
    own, step = tf.minimum(lengths, count), tf.range(count)[:, None]
    return tf.range(batch) * steps + lengths - own + tf.minimum(step, own - 1), step < own


def _specs(**inputs: tuple[tf.DType, int]) -> TensorSpecs:
    """Returns the specs of inputs with these dtypes and ranks."""
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


def _traced(function: Callable[..., NamedTensors], inputs: TensorSpecs) -> ConcreteFunction:
    return tf.function(function, autograph=False).get_concrete_function(**inputs)
