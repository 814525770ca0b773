"""The checks of a Predict request, in the real server's order and with its messages."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from contract import tensors
from contract.errors import TensorError
from contract.tensors import Array
from modelserver.errors import failed_precondition, invalid
from modelserver.servable import Signature, dtype_name

DEFAULT_SIGNATURE = "serving_default"
"""The signature of a request that names none."""


@dataclass(frozen=True)
class GraphRun:
    """The run of the graph that a checked request asks for."""

    feeds: Mapping[str, Array]
    """Tensor name in the graph -> value."""
    fetches: Mapping[str, str]
    """Output alias -> tensor name in the graph."""


def find_signature(name: str, signatures: Mapping[str, Signature]) -> Signature:
    """Returns the signature `name`; StatusError if there is none."""
    try:
        return signatures[name]
    except KeyError:
        raise failed_precondition(f'Serving signature key "{name}" not found.') from None


def check(request: Any, signature: Signature) -> GraphRun:
    """Checks a PredictRequest against `signature` and returns its run; StatusError for the first fault."""
    _check_names(request.inputs, signature)
    arrays = {alias: _input(alias, request.inputs, signature) for alias in sorted(signature.inputs)}
    fetches = _fetches(request.output_filter, signature)
    _check_dtypes(request.inputs, signature)
    feeds = {signature.inputs[alias].name: array for alias, array in arrays.items()}
    return GraphRun(feeds, fetches)


def _check_names(sent: Collection[str], signature: Signature) -> None:
    """Checks the number of inputs. `_input` checks each name afterwards."""
    expected = signature.inputs
    if len(sent) == len(expected):
        return
    extra = set(sent) - set(expected)
    missing = set(expected) - set(sent) - set(signature.defaults)
    if extra or missing:
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(expected)} "
            f"len({_names(sent)}) != len({_names(expected)}). "
            f"Sent extra: {_names(extra)}. Missing but required: {_names(missing)}."
        )


def _input(alias: str, sent: Mapping[str, Any], signature: Signature) -> Array:
    if alias not in sent:
        if alias in signature.defaults:
            return signature.defaults[alias]
        raise invalid(
            f"Signature input alias: {alias}(feed name: {signature.inputs[alias].name}) not found in request "
            f"and no default value provided. Inputs expected to be in the request {_names(sent)}, "
            f"or default input alias set: {','.join(sorted(signature.defaults))}"
        )
    try:
        return tensors.from_proto(sent[alias])
    except TensorError:
        raise invalid(f"tensor parsing error: {alias}") from None


def _fetches(wanted: Collection[str], signature: Signature) -> Mapping[str, str]:
    fetches: dict[str, str] = {}
    for alias in wanted or signature.outputs:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_names(signature.outputs)}."
            )
        if alias in fetches:
            raise invalid(f"duplicate output tensor alias: {alias}")
        fetches[alias] = signature.outputs[alias].name
    return fetches


def _check_dtypes(sent: Mapping[str, Any], signature: Signature) -> None:
    """Checks dtypes as the session does, which numbers arguments in the order of their feed names."""
    feeds = sorted(signature.inputs.items(), key=lambda item: item[1].name)
    for rank, (alias, tensor) in enumerate(feeds):
        if alias in sent and sent[alias].dtype != tensor.enum:
            raise invalid(
                f"Expects arg[{rank}] to be {dtype_name(tensor.enum)} "
                f"but {dtype_name(sent[alias].dtype)} is provided"
            )


def _names(names: Collection[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
