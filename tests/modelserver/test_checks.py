"""The checks of Predict that the recordings do not cover."""

from typing import Any

import numpy as np
import pytest

from contract.dtypes import proto_dtype_of_numpy
from contract.tensors import Array, to_proto
from modelserver.errors import StatusError
from modelserver.predict import check
from modelserver.servable import Signature, TensorInfo
from tests.modelserver.client import request

FLOAT = proto_dtype_of_numpy(np.dtype(np.float32)).enum
ONE = np.ones(1, np.float32)


def signature(*inputs: str, defaults: dict[str, Array] | None = None) -> Signature:
    names = {alias: TensorInfo(f"feed_{alias}:0", FLOAT) for alias in inputs}
    return Signature(names, {"y": TensorInfo("out:0", FLOAT)}, defaults or {})


def complaint(message: Any, expected: Signature) -> str:
    with pytest.raises(StatusError) as error:
        check(message, expected)
    return error.value.message


def test_an_input_with_a_default_may_be_left_out():
    expected = signature("a", "b", defaults={"b": ONE * 2})
    run = check(request("m", a=ONE), expected)
    assert run.feeds["feed_a:0"].tolist() == [1]
    assert run.feeds["feed_b:0"].tolist() == [2]


def test_an_input_with_a_default_may_be_sent():
    run = check(request("m", a=ONE, b=ONE * 3), signature("a", "b", defaults={"b": ONE}))
    assert run.feeds["feed_b:0"].tolist() == [3]


def test_an_input_with_a_default_is_not_missed_when_another_is():
    expected = signature("a", "b", "c", defaults={"b": ONE})
    assert complaint(request("m", a=ONE), expected).endswith("Missing but required: {c}.")


def test_defaults_are_named_when_an_alias_is_not_found():
    expected = signature("a", "b", defaults={"b": ONE})
    message = complaint(request("m", x=ONE, b=ONE), expected)
    assert message.startswith("Signature input alias: a(feed name: feed_a:0) not found in request")
    assert message.endswith("Inputs expected to be in the request {b,x}, or default input alias set: b")


def test_the_size_is_checked_before_tensors_outputs_and_dtypes():
    message = request("m", a=np.ones(1, np.int32), b=ONE)
    message.output_filter.append("nope")
    assert complaint(message, signature("a")).startswith("input size does not match signature: 2!=1")


def test_tensors_are_read_before_outputs_are_looked_up():
    message = request("m", a=ONE)
    message.inputs["a"].tensor_content = b"x"
    message.output_filter.append("nope")
    assert complaint(message, signature("a")) == "tensor parsing error: a"


def test_outputs_are_looked_up_before_dtypes_are_checked():
    message = request("m", a=np.ones(1, np.int32))
    message.output_filter.append("nope")
    assert complaint(message, signature("a")).startswith("output tensor alias not found in signature: nope")


def test_an_argument_is_numbered_by_its_feed_name():
    inputs = {"a": TensorInfo("z:0", FLOAT), "b": TensorInfo("c:0", FLOAT)}
    expected = Signature(inputs, {"y": TensorInfo("out:0", FLOAT)}, {})
    message = request("m", a=np.ones(1, np.int32), b=ONE)
    assert complaint(message, expected) == "Expects arg[1] to be float but int32 is provided"


def test_a_tensor_is_what_was_sent():
    message = request("m")
    message.inputs["a"].CopyFrom(to_proto(np.arange(3, dtype=np.float32)))
    run = check(message, signature("a"))
    assert run.feeds["feed_a:0"].tolist() == [0, 1, 2]
    assert run.fetches == {"y": "out:0"}
