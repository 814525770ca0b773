"""The `step` signature that a manifest requires: its inputs and outputs, its tracing and its checks."""

import inspect
import re
from typing import Any

import tensorflow as tf

from contract import names
from contract.manifest import Manifest, StateTensor
from export.errors import SignatureError
from export.signatures.servable import ConcreteFunction, ExportedModel
from export.user_errors import located


def inputs(manifest: Manifest) -> dict[str, tf.TensorSpec]:
    """Returns the inputs of `step` by name; the batch, the steps and the longest past are None in shapes."""
    specs = {
        names.TOKENS: tf.TensorSpec([None, None], tf.int32, names.TOKENS),
        names.LENGTHS: tf.TensorSpec([None], tf.int32, names.LENGTHS),
    }
    return specs | state(manifest)


def outputs(manifest: Manifest) -> dict[str, tf.TensorSpec]:
    """Returns the outputs of `step` by name; of a growing tensor these are only the new entries."""
    logits = tf.TensorSpec([None, manifest.vocabulary_size], tf.float32, names.LOGITS)
    return {names.LOGITS: logits} | state(manifest)


def state(manifest: Manifest) -> dict[str, tf.TensorSpec]:
    """Returns the state tensors of a batch by name; the batch and growth axes are None in shapes."""
    return {tensor.name: _batched(tensor) for tensor in manifest.state}


def trace(exported: ExportedModel) -> ConcreteFunction:
    """Traces `step` for any batch size; raises SignatureError if it does not keep the contract."""
    specs = inputs(exported.manifest)
    _check_inputs(exported.step, specs)
    function = tf.function(exported.step, autograph=False)
    try:
        concrete = function.get_concrete_function(**specs)
    except (TypeError, ValueError, tf.errors.OpError) as error:
        raise SignatureError(f"step cannot be traced: {located(error)}") from error
    check(concrete.structured_outputs, exported.manifest)
    return concrete


def check(returned: object, manifest: Manifest) -> None:
    """Raises SignatureError if names, dtypes or shapes of the returned outputs differ from the manifest's."""
    if not isinstance(returned, dict):
        raise SignatureError(f"step must return a dict of tensors by name, not {type(returned).__name__}")
    wanted = outputs(manifest)
    _check_names(set(returned), set(wanted))
    for name, spec in wanted.items():
        _check_tensor(name, returned[name], spec)


def _check_inputs(step: Any, specs: dict[str, tf.TensorSpec]) -> None:
    """Raises SignatureError unless `step` takes arguments of these names, and signatures allow the names."""
    for name in specs:
        if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name):
            raise SignatureError(
                f"state tensor {name!r} must be named by letters, digits and '_', beginning with a letter"
            )
    parameters = inspect.signature(step).parameters.values()
    anything = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    known = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if (missing := specs.keys() - known) and not anything:
        raise SignatureError(f"step has no argument {_listed(missing)}, with which the decode loop calls it")
    needed = {p.name for p in parameters if p.default is p.empty and p.name in known}
    if extra := needed - specs.keys():
        raise SignatureError(f"step asks for {_listed(extra)}, which is not among {_listed(set(specs))}")


def _check_names(returned: set[str], wanted: set[str]) -> None:
    if missing := wanted - returned:
        raise SignatureError(f"step does not return {_listed(missing)}, which the contract asks for")
    if extra := returned - wanted:
        raise SignatureError(f"step returns {_listed(extra)}, which the manifest does not declare")


def _check_tensor(name: str, returned: object, spec: tf.TensorSpec) -> None:
    if not isinstance(returned, tf.Tensor | tf.TensorSpec):
        raise SignatureError(f"output {name!r} of step must be a tensor, not {type(returned).__name__}")
    if returned.dtype != spec.dtype:
        raise SignatureError(f"output {name!r} of step is {returned.dtype.name}, not {spec.dtype.name}")
    if not spec.shape.is_compatible_with(returned.shape):
        raise SignatureError(
            f"output {name!r} of step has shape {returned.shape}, not {spec.shape}{_hint(name, returned)}"
        )
    # A fixed size where the contract has None would tie the graph to one batch size.
    fixed = [axis for axis, size in enumerate(spec.shape) if size is None and _known(returned.shape, axis)]
    if fixed:
        raise SignatureError(
            f"output {name!r} of step has shape {returned.shape}: axis {fixed[0]} must be free"
        )


def _hint(name: str, returned: tf.Tensor) -> str:
    """Returns an explanation for logits of every position, the most common mistake."""
    everywhere = name == names.LOGITS and returned.shape.rank == 3
    return ": only the logits at each row's last real token are expected" if everywhere else ""


def _known(shape: tf.TensorShape, axis: int) -> bool:
    return shape.rank is not None and shape[axis] is not None


def _batched(tensor: StateTensor) -> tf.TensorSpec:
    sizes = [None if axis == tensor.growth_axis else size for axis, size in enumerate(tensor.shape)]
    return tf.TensorSpec([None, *sizes], tf.as_dtype(tensor.dtype), tensor.name)


def _listed(parts: set[str]) -> str:
    return ", ".join(repr(part) for part in sorted(parts))
