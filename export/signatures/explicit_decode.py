"""The `decode` signature of the explicit layout: several steps in one call, made of nothing but `step`.

Knows no family: what grows is lengthened by the steps of the call, and each row's new entries are written
where its own end. What rows may get and what ends them is as for pools (steps.py).
"""

from typing import TypeAlias

import tensorflow as tf

from contract import names
from contract.manifest import Manifest, StateTensor
from export.errors import SignatureError
from export.sampling import sampler
from export.sampling.sampler import Sampler, SamplingProgress
from export.signatures import step_signature
from export.signatures.decode_loop import DecodeRows, advance
from export.user_errors import one_line

Tensors: TypeAlias = dict[str, tf.Tensor]
Function: TypeAlias = tf.types.experimental.ConcreteFunction

MAX_STEPS = 64
"""What manifests say; the graph takes any number."""


def inputs(manifest: Manifest) -> dict[str, tf.TensorSpec]:
    """The inputs of `decode`."""
    per_row = {
        name: tf.TensorSpec([None], tf.int32, name) for name in (names.TOKENS, names.HELD, names.BUDGET)
    }
    stop_tokens = {names.STOP_TOKENS: tf.TensorSpec([None, None], tf.int32, names.STOP_TOKENS)}
    return per_row | stop_tokens | sampler.INPUTS | step_signature.state(manifest)


def trace(step: Function, manifest: Manifest) -> Function:
    """`decode` as a graph for any batch and any number of steps of the traced `step`."""
    model = _Model(step, manifest)
    try:
        return tf.function(model.decode, autograph=False).get_concrete_function(**inputs(manifest))
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise SignatureError(f"step cannot be run in a loop: {one_line(error)}") from error


class _Model:
    """A traced step, and the state that it takes and gives."""

    def __init__(self, step: Function, manifest: Manifest) -> None:
        self._step = step
        self._manifest = manifest
        self._shapes = {name: spec.shape for name, spec in step_signature.state(manifest).items()}

    def decode(
        self,
        tokens: tf.Tensor,  # (batch,): not yet in the state
        held: tf.Tensor,
        budget: tf.Tensor,
        stop_tokens: tf.Tensor,  # (batch, any)
        **rest: tf.Tensor,  # the state, and what is asked of sampling
    ) -> Tensors:
        chosen = Sampler.from_inputs(rest)
        state = {t.name: _lengthened(t, rest[t.name], chosen.steps) for t in self._manifest.growing}
        state |= {t.name: rest[t.name] for t in self._manifest.fixed}

        def more(i: tf.Tensor, rows: DecodeRows, progress: SamplingProgress, state: Tensors) -> tf.Tensor:  # noqa: ARG001
            return (i < chosen.steps) & tf.reduce_any(rows.left > 0)

        def body(
            i: tf.Tensor, rows: DecodeRows, progress: SamplingProgress, state: Tensors
        ) -> tuple[tf.Tensor, DecodeRows, SamplingProgress, Tensors]:
            logits, after = self._run(rows, state)
            tokens, progress = chosen.sample_step(logits, i, rows.left > 0, progress)
            return i + 1, advance(rows, tokens, stop_tokens), progress, after

        begin = (0, DecodeRows(tokens, held, budget), chosen.begin(), state)
        # One step at a time: a step that reads the state while another writes it would copy all of it.
        _, _, progress, state = tf.while_loop(more, body, begin, parallel_iterations=1)
        new = {t.name: _entries(t, state[t.name], held, chosen.steps) for t in self._manifest.growing}
        return {**sampler.outputs(progress), **state, **new}

    def _run(self, rows: DecodeRows, state: Tensors) -> tuple[tf.Tensor, Tensors]:
        """Logits (batch, vocabulary), and the state after the step; rows that are out keep theirs."""
        answer = self._step(tokens=rows.tokens[:, None], lengths=tf.ones_like(rows.tokens), **state)
        after = {}
        for tensor in self._manifest.state:
            put = _written if tensor.grows else _replaced
            value = put(tensor, state[tensor.name], answer[tensor.name], rows)
            after[tensor.name] = tf.ensure_shape(value, self._shapes[tensor.name])
        return answer[names.LOGITS], after


def _replaced(tensor: StateTensor, old: tf.Tensor, new: tf.Tensor, rows: DecodeRows) -> tf.Tensor:
    """What does not grow, after a step."""
    inside = tf.reshape(rows.left > 0, [-1, *[1] * len(tensor.shape)])
    return tf.where(inside, new, old)


def _written(tensor: StateTensor, old: tf.Tensor, new: tf.Tensor, rows: DecodeRows) -> tf.Tensor:
    """What grows, after a step: each row's entry of `new` at its own position; zeros stay where it is out."""
    flat, entries = _flat(tensor, old), _flat(tensor, new)[:, 0]
    entries = tf.where(_spread(tensor, rows.left > 0)[:, None], entries, tf.zeros_like(entries))
    places = tf.stack([tf.range(tf.shape(flat)[0]), _spread(tensor, rows.positions)], axis=1)
    return tf.reshape(tf.tensor_scatter_nd_update(flat, places, entries), tf.shape(old))


def _lengthened(tensor: StateTensor, past: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """`past` with zeros for `steps` more entries."""
    paddings = [[0, steps if axis == tensor.axis else 0] for axis in range(len(tensor.shape))]
    return tf.pad(past, [[0, 0], *paddings])


def _entries(tensor: StateTensor, state: tf.Tensor, held: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """The `steps` entries of each row from its `held` on."""
    places = _spread(tensor, held)[:, None] + tf.range(steps)
    new = tf.gather(_flat(tensor, state), places, batch_dims=1)
    sizes = tf.unstack(tf.shape(state))
    sizes[tensor.axis + 1] = steps
    return tf.reshape(new, sizes)


def _flat(tensor: StateTensor, value: tf.Tensor) -> tf.Tensor:
    """(batch and all before the growth axis, time, all after it): shares the memory."""
    sizes = tf.shape(value)
    before, time = tf.reduce_prod(sizes[: tensor.axis + 1]), sizes[tensor.axis + 1]
    return tf.reshape(value, [before, time, tf.reduce_prod(sizes[tensor.axis + 2 :])])


def _spread(tensor: StateTensor, per_row: tf.Tensor) -> tf.Tensor:
    """Values (batch,) as often as `_flat` has rows for each of the batch."""
    before = 1
    for size in tensor.shape[: tensor.axis]:
        before *= size
    return tf.repeat(per_row, before) if before > 1 else per_row
