"""The `decode` signature of the explicit layout: several steps in one call, made from `step` alone.

Growing tensors are lengthened by the steps of the call, and each row's new entries are written after its own
earlier ones. Budgets and stop tokens work as in `decode_loop`.
"""

import tensorflow as tf

from contract import names
from contract.manifest import Manifest, StateTensor
from export.errors import SignatureError
from export.sampling import sampler
from export.sampling.sampler import Sampler, SamplingProgress
from export.signatures import step_signature
from export.signatures.decode_loop import DecodeRows, advance
from export.signatures.servable import ConcreteFunction, NamedTensors
from export.user_errors import one_line

MAX_STEPS = 64
"""The `decode_steps` of manifests; the graph itself takes any number of steps."""


def inputs(manifest: Manifest) -> dict[str, tf.TensorSpec]:
    """Returns the inputs of `decode`, by name."""
    per_row = {
        name: tf.TensorSpec([None], tf.int32, name) for name in (names.TOKENS, names.HELD, names.BUDGET)
    }
    stop_tokens = {names.STOP_TOKENS: tf.TensorSpec([None, None], tf.int32, names.STOP_TOKENS)}
    return per_row | stop_tokens | sampler.INPUTS | step_signature.state(manifest)


def trace(step: ConcreteFunction, manifest: Manifest) -> ConcreteFunction:
    """Traces `decode` over the traced `step`, for any batch size and number of steps.

    Raises SignatureError if `step` cannot be run in a loop.
    """
    signature = _DecodeSignature(step, manifest)
    try:
        return tf.function(signature.decode, autograph=False).get_concrete_function(**inputs(manifest))
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise SignatureError(f"step cannot be run in a loop: {one_line(error)}") from error


class _DecodeSignature:
    """The function behind `decode`, over a traced `step`."""

    def __init__(self, step: ConcreteFunction, manifest: Manifest) -> None:
        self._step = step
        self._manifest = manifest
        self._shapes = {name: spec.shape for name, spec in step_signature.state(manifest).items()}

    def decode(
        self,
        tokens: tf.Tensor,  # (batch,): not yet in the state
        held: tf.Tensor,
        budget: tf.Tensor,
        stop_tokens: tf.Tensor,  # (batch, any)
        **others: tf.Tensor,  # the state and the sampling inputs
    ) -> NamedTensors:
        """Returns the sampled tokens, the state after them, and the new entries of growing tensors."""
        sampling = Sampler.from_inputs(others)
        state = {t.name: _lengthened(t, others[t.name], sampling.steps) for t in self._manifest.growing}
        state |= {t.name: others[t.name] for t in self._manifest.fixed}

        def more(
            i: tf.Tensor,
            rows: DecodeRows,
            progress: SamplingProgress,  # noqa: ARG001
            state: NamedTensors,  # noqa: ARG001
        ) -> tf.Tensor:
            return (i < sampling.steps) & tf.reduce_any(rows.active)

        def body(
            i: tf.Tensor, rows: DecodeRows, progress: SamplingProgress, state: NamedTensors
        ) -> tuple[tf.Tensor, DecodeRows, SamplingProgress, NamedTensors]:
            logits, after = self._run(rows, state)
            tokens, progress = sampling.sample_step(logits, i, rows.active, progress)
            return i + 1, advance(rows, tokens, stop_tokens), progress, after

        begin = (0, DecodeRows(tokens, held, budget), sampling.begin(), state)
        # One iteration at a time: a step that reads the state while another writes it would copy all of it.
        _, _, progress, state = tf.while_loop(more, body, begin, parallel_iterations=1)
        new = {t.name: _new_entries(t, state[t.name], held, sampling.steps) for t in self._manifest.growing}
        return {**sampler.outputs(progress), **state, **new}

    def _run(self, rows: DecodeRows, state: NamedTensors) -> tuple[tf.Tensor, NamedTensors]:
        """Returns logits (batch, vocabulary) and the state after one step; finished rows keep theirs."""
        answer = self._step(tokens=rows.tokens[:, None], lengths=tf.ones_like(rows.tokens), **state)
        after = {}
        for tensor in self._manifest.state:
            update = _with_entry if tensor.grows else _replaced
            value = update(tensor, state[tensor.name], answer[tensor.name], rows)
            after[tensor.name] = tf.ensure_shape(value, self._shapes[tensor.name])
        return answer[names.LOGITS], after


def _replaced(tensor: StateTensor, old: tf.Tensor, new: tf.Tensor, rows: DecodeRows) -> tf.Tensor:
    """Returns the value of a fixed-size tensor after a step; finished rows keep the old value."""
    active = tf.reshape(rows.active, [-1, *[1] * len(tensor.shape)])
    return tf.where(active, new, old)


def _with_entry(tensor: StateTensor, old: tf.Tensor, new: tf.Tensor, rows: DecodeRows) -> tf.Tensor:
    """Returns a growing tensor with each row's new entry at its position, or zeros for finished rows."""
    flat, entries = _flat(tensor, old), _flat(tensor, new)[:, 0]
    entries = tf.where(_spread(tensor, rows.active)[:, None], entries, tf.zeros_like(entries))
    places = tf.stack([tf.range(tf.shape(flat)[0]), _spread(tensor, rows.positions)], axis=1)
    return tf.reshape(tf.tensor_scatter_nd_update(flat, places, entries), tf.shape(old))


def _lengthened(tensor: StateTensor, past: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """Returns `past` with `steps` entries of zeros at the end of the growth axis."""
    paddings = [[0, steps if axis == tensor.axis else 0] for axis in range(len(tensor.shape))]
    return tf.pad(past, [[0, 0], *paddings])


def _new_entries(tensor: StateTensor, state: tf.Tensor, held: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """Returns each row's `steps` entries after its first `held` (batch,)."""
    places = _spread(tensor, held)[:, None] + tf.range(steps)
    new = tf.gather(_flat(tensor, state), places, batch_dims=1)
    sizes = tf.unstack(tf.shape(state))
    sizes[tensor.axis + 1] = steps
    return tf.reshape(new, sizes)


def _flat(tensor: StateTensor, value: tf.Tensor) -> tf.Tensor:
    """Reshapes to (batch and all axes before the growth axis, time, all axes after it), without a copy."""
    sizes = tf.shape(value)
    before, time = tf.reduce_prod(sizes[: tensor.axis + 1]), sizes[tensor.axis + 1]
    return tf.reshape(value, [before, time, tf.reduce_prod(sizes[tensor.axis + 2 :])])


def _spread(tensor: StateTensor, per_row: tf.Tensor) -> tf.Tensor:
    """Repeats values (batch,) for the rows that `_flat` makes of each row of the batch."""
    before = 1
    for size in tensor.shape[: tensor.axis]:
        before *= size
    return tf.repeat(per_row, before) if before > 1 else per_row
