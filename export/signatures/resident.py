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
from export.signatures.pool_view import GatheredSlots, PoolView, SlotTokens, leading_tokens
from export.signatures.servable import ConcreteFunction, ExportedModel, NamedTensors, ResidentModel
from export.transformer_model.pieces import Pieces

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
        last_tokens: tf.Tensor,  # (decoded,)
        positions: tf.Tensor,  # (decoded,)
        **sampling_inputs: tf.Tensor,
    ) -> NamedTensors:
        """Writes tokens into slots, and samples a token after each of a row's last ones.

        With `last_tokens` also does a decode step of slots 0, 1, ..., whose rows come first.
        """
        claimed, decoded = self._pool.check_lease(epoch), tf.size(last_tokens)
        enough = tf.debugging.assert_less_equal(decoded, claimed.slots[0], "no such slot")
        with tf.control_dependencies([*_slots_exist(claimed, slots), enough]):
            rows, active = GatheredSlots(tf.identity(slots)), last_tokens != names.NO_TOKEN
        pieces = Pieces.of(tokens, lengths)
        view = PoolView(
            self._pool,
            leading_tokens(self._pool, claimed, positions, active),
            SlotTokens(self._model.layout, claimed, rows, starts, pieces),
        )
        sampling = Sampler.from_inputs(sampling_inputs)
        first = tf.range(sampling.steps)[:, None] == 0
        last, real = pieces.last(sampling.steps)
        last = tf.concat([tf.where(first, tf.range(decoded), 0), decoded + last], axis=1)
        real = tf.concat([first & active, real], axis=1)
        flat = tf.concat([tf.maximum(last_tokens, 0), pieces.flat(tokens)], axis=0)
        logits = self._model.forward(flat, view.positions, tf.reshape(last, [-1]), view)
        each = tf.reshape(logits, tf.concat([tf.shape(last), logits.shape[-1:]], axis=0))
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
    last_tokens=(tf.int32, 1),
    positions=(tf.int32, 1),
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
