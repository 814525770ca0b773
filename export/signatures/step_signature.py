"""The `step` signature that a manifest asks for, and the check that a function keeps it."""

import inspect
import re
from typing import Any

import tensorflow as tf

from contract import names
from contract.manifest import Manifest, StateTensor
from export.errors import SignatureError
from export.signatures.servable import ExportedModel
from export.user_errors import located


def inputs(manifest: Manifest) -> dict[str, tf.TensorSpec]:
    """The inputs of `step`; None stands for the batch, the steps and the longest past."""
    specs = {
        names.TOKENS: tf.TensorSpec([None, None], tf.int32, names.TOKENS),
        names.LENGTHS: tf.TensorSpec([None], tf.int32, names.LENGTHS),
    }
    return specs | state(manifest)


def outputs(manifest: Manifest) -> dict[str, tf.TensorSpec]:
    """The outputs of `step`; a growing tensor has only its new entries."""
    logits = tf.TensorSpec([None, manifest.vocabulary_size], tf.float32, names.LOGITS)
    return {names.LOGITS: logits} | state(manifest)


def state(manifest: Manifest) -> dict[str, tf.TensorSpec]:
    """The state tensors of a batch; None also stands for the entries of what grows."""
    return {tensor.name: _batched(tensor) for tensor in manifest.state}


def trace(servable: ExportedModel) -> tf.types.experimental.ConcreteFunction:
    """`step` as a graph for any batch; SignatureError where it does not keep the contract."""
    given = inputs(servable.manifest)
    _check_inputs(servable.step, given)
    function = tf.function(servable.step, autograph=False)
    try:
        concrete = function.get_concrete_function(**given)
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise SignatureError(f"step cannot be traced: {located(error)}") from error
    check(concrete.structured_outputs, servable.manifest)
    return concrete


def check(given: object, manifest: Manifest) -> None:
    """SignatureError where the outputs' names, dtypes or shapes are not the manifest's."""
    if not isinstance(given, dict):
        raise SignatureError(f"step must return a dict of tensors by name, not {type(given).__name__}")
    wanted = outputs(manifest)
    _check_names(set(given), set(wanted))
    for name, spec in wanted.items():
        _check_tensor(name, given[name], spec)


def _check_inputs(step: Any, given: dict[str, tf.TensorSpec]) -> None:
    """SignatureError unless `step` takes these names, and each can name an input of a signature."""
    for name in given:
        if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name):
            raise SignatureError(
                f"state tensor {name!r} must be named by letters, digits and '_', a letter first"
            )
    parameters = inspect.signature(step).parameters.values()
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    known = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if (missing := given.keys() - known) and not anything:
        raise SignatureError(f"step takes no argument {_listed(missing)}, which the contract gives it")
    needed = {p.name for p in parameters if p.default is p.empty and p.name in known}
    if extra := needed - given.keys():
        raise SignatureError(f"step asks for {_listed(extra)}, which is not among {_listed(set(given))}")


def _check_names(given: set[str], wanted: set[str]) -> None:
    if missing := wanted - given:
        raise SignatureError(f"step does not return {_listed(missing)}, which the contract asks for")
    if extra := given - wanted:
        raise SignatureError(f"step returns {_listed(extra)}, which the manifest does not declare")


def _check_tensor(name: str, given: object, spec: tf.TensorSpec) -> None:
    if not isinstance(given, tf.Tensor | tf.TensorSpec):
        raise SignatureError(f"output {name!r} of step must be a tensor, not {type(given).__name__}")
    if given.dtype != spec.dtype:
        raise SignatureError(f"output {name!r} of step is {given.dtype.name}, not {spec.dtype.name}")
    if not spec.shape.is_compatible_with(given.shape):
        raise SignatureError(
            f"output {name!r} of step has shape {given.shape}, not {spec.shape}{_hint(name, given)}"
        )
    # A number where the contract has None would tie the graph to one batch.
    fixed = [axis for axis, size in enumerate(spec.shape) if size is None and _known(given.shape, axis)]
    if fixed:
        raise SignatureError(f"output {name!r} of step has shape {given.shape}: axis {fixed[0]} must be free")


def _hint(name: str, given: tf.Tensor) -> str:
    """For logits at all positions."""
    everywhere = name == names.LOGITS and given.shape.rank == 3
    return ": only those at each row's last real token are asked for" if everywhere else ""


def _known(shape: tf.TensorShape, axis: int) -> bool:
    return shape.rank is not None and shape[axis] is not None


def _batched(tensor: StateTensor) -> tf.TensorSpec:
    sizes = [None if axis == tensor.growth_axis else size for axis, size in enumerate(tensor.shape)]
    return tf.TensorSpec([None, *sizes], tf.as_dtype(tensor.dtype), tensor.name)


def _listed(parts: set[str]) -> str:
    return ", ".join(repr(part) for part in sorted(parts))
