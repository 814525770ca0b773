"""The checks of a Predict call, in the real server's order and words. Runs no graph and knows no versions."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from contract import tensors
from contract.errors import TensorError
from contract.tensors import Array
from modelserver.errors import failed_precondition, invalid
from modelserver.signature import Signature, dtype_name

DEFAULT_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Run:
    """A run that has passed the checks: arrays by feed name, and tensor names by output alias."""

    feeds: Mapping[str, Array]
    fetches: Mapping[str, str]


def signature_of(name: str, signatures: Mapping[str, Signature]) -> Signature:
    try:
        return signatures[name]
    except KeyError:
        raise failed_precondition(f'Serving signature key "{name}" not found.') from None


def check(request: Any, signature: Signature) -> Run:
    """The run that a PredictRequest asks of `signature`; Status at the first thing wrong with it."""
    _check_names(request.inputs, signature)
    arrays = {alias: _input(alias, request.inputs, signature) for alias in sorted(signature.inputs)}
    fetches = _fetches(request.output_filter, signature)
    _check_dtypes(request.inputs, signature)
    feeds = {signature.inputs[alias].name: array for alias, array in arrays.items()}
    return Run(feeds, fetches)


def _check_names(sent: Collection[str], signature: Signature) -> None:
    """Whether the number of inputs can be right; names are looked at one by one afterwards."""
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
    """As the session does: an argument's number is its rank among the sorted feed names."""
    feeds = sorted(signature.inputs.items(), key=lambda item: item[1].name)
    for rank, (alias, tensor) in enumerate(feeds):
        if alias in sent and sent[alias].dtype != tensor.enum:
            raise invalid(
                f"Expects arg[{rank}] to be {dtype_name(tensor.enum)} "
                f"but {dtype_name(sent[alias].dtype)} is provided"
            )


def _names(names: Collection[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
