"""Requests serialized by `predict_request` equal those that protobuf serializes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import TensorError
from contract.stubs import predict_pb2
from contract.tensors import Array, from_proto, to_proto
from contract.wire import Parts, predict_request
from tests.contract.test_tensors import assert_same, strings, tensors

NAMES = st.text(st.characters(codec="utf-8"), max_size=200)


@st.composite
def in_parts(draw: st.DrawFn) -> tuple[Parts, Array]:
    """Draws a tensor in pieces of any sizes, and the same tensor as one array."""
    whole = draw(tensors())
    cuts = sorted(draw(st.lists(st.integers(0, whole.size), max_size=4)))
    return Parts(whole.dtype, whole.shape, np.split(whole.ravel(), cuts)), whole


def parsed(**inputs: Array | Parts) -> predict_pb2.PredictRequest:
    return predict_pb2.PredictRequest.FromString(predict_request("m", 1, "s", inputs))


@given(
    st.dictionaries(NAMES, tensors() | strings(), max_size=4), NAMES, NAMES, st.integers(-(2**63), 2**63 - 1)
)
def test_protobuf_reads_what_it_would_have_written_itself(inputs, model, signature, version):
    expected = predict_pb2.PredictRequest()
    expected.model_spec.name = model
    expected.model_spec.signature_name = signature
    expected.model_spec.version.value = version
    for name, array in inputs.items():
        expected.inputs[name].CopyFrom(to_proto(array))
    request = predict_request(model, version, signature, inputs)
    assert predict_pb2.PredictRequest.FromString(request) == expected


@given(in_parts())
def test_a_tensor_in_pieces_is_read_as_one(tensor):
    parts, whole = tensor
    assert_same(from_proto(parsed(x=parts).inputs["x"]), whole)
    assert_same(np.asarray(parts), whole)


def test_an_array_that_is_not_contiguous_is_written_in_its_own_order():
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T
    assert_same(from_proto(parsed(x=array).inputs["x"]), np.ascontiguousarray(array))


def test_pieces_that_are_not_contiguous_are_a_bug_that_shows():
    piece = np.arange(12, dtype=np.float32).reshape(3, 4).T
    with pytest.raises(AssertionError, match="contiguous"):
        Parts(piece.dtype, (12,), [piece])


def test_a_dtype_that_tensorflow_has_not_is_a_tensor_error():
    with pytest.raises(TensorError, match="datetime64"):
        parsed(x=np.array(["2020-01-01"], dtype="datetime64[D]"))
