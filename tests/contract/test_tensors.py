"""A tensor is the same after it was sent in either form, and a malformed one is a TensorError."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from contract.dtypes import PROTO_DTYPES, ProtoDtype, dtype_of_name, proto_dtype_of_enum
from contract.errors import TensorError
from contract.stubs import tensor_pb2, types_pb2
from contract.tensors import Array, from_proto, to_proto, to_typed_proto

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
DTYPES = st.sampled_from(PROTO_DTYPES)


@st.composite
def tensors(draw: st.DrawFn) -> Array:
    """Draws arrays of random bits, so that every kind of NaN and infinity occurs."""
    dtype, shape = draw(DTYPES), draw(SHAPES)
    if dtype.numpy == np.bool_:
        return draw(arrays.arrays(np.bool_, shape))
    bits = draw(arrays.arrays(np.uint8, (*shape, dtype.numpy.itemsize)))
    return np.frombuffer(bits.tobytes(), dtype.numpy).reshape(shape)


@st.composite
def strings(draw: st.DrawFn) -> Array:
    return draw(arrays.arrays(np.dtype(object), SHAPES, elements=st.binary(max_size=200)))


def assert_same(read: Array, written: Array) -> None:
    assert read.dtype == written.dtype
    assert read.shape == written.shape
    assert read.tobytes() == written.tobytes()


def over_the_wire(proto: tensor_pb2.TensorProto) -> tensor_pb2.TensorProto:
    return tensor_pb2.TensorProto.FromString(proto.SerializeToString())


@given(tensors())
def test_tensor_content_brings_back_every_bit(array):
    assert_same(from_proto(over_the_wire(to_proto(array))), array)


@given(tensors())
def test_typed_fields_bring_back_every_bit(array):
    proto = over_the_wire(to_typed_proto(array))
    assert not proto.tensor_content
    assert_same(from_proto(proto), array)


@given(strings())
def test_strings_with_nuls_and_any_bytes_come_back_in_either_form(array):
    for proto in (to_proto(array), to_typed_proto(array)):
        read = from_proto(over_the_wire(proto))
        assert read.shape == array.shape
        assert read.ravel().tolist() == array.ravel().tolist()


def test_strings_are_written_as_tensorflow_writes_tensor_content():
    array = np.array([b"", b"a\0b", "é".encode()], dtype=object)
    assert to_proto(array).tensor_content == b"\x00\x03\x02a\x00b\xc3\xa9"
    long = np.array([b"x" * 300], dtype=object)
    assert to_proto(long).tensor_content == b"\xac\x02" + b"x" * 300


def test_arrays_that_are_not_contiguous_are_written_in_their_own_order():
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T
    for proto in (to_proto(array), to_typed_proto(array)):
        assert_same(from_proto(proto), np.ascontiguousarray(array))


def _proto(dtype: str, shape: list[int], **values: object) -> tensor_pb2.TensorProto:
    proto = tensor_pb2.TensorProto(dtype=dtype, **values)
    proto.tensor_shape.SetInParent()
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def test_the_last_value_fills_the_rest():
    assert from_proto(_proto("DT_FLOAT", [2, 2], float_val=[1, 2])).tolist() == [[1, 2], [2, 2]]
    assert from_proto(_proto("DT_STRING", [3], string_val=[b"a"])).tolist() == [b"a"] * 3


@pytest.mark.parametrize("dtype", PROTO_DTYPES, ids=lambda dtype: dtype.numpy.name)
def test_no_values_mean_zeros(dtype: ProtoDtype):
    proto = _proto(types_pb2.DataType.Name(dtype.enum), [2, 1])
    assert_same(from_proto(proto), np.zeros((2, 1), dtype.numpy))


def test_values_past_the_shape_do_not_count():
    assert from_proto(_proto("DT_INT32", [2], int_val=[1, 2, 3])).tolist() == [1, 2]


def test_half_a_complex_number_does_not_count():
    assert from_proto(_proto("DT_COMPLEX64", [1], scomplex_val=[1, 2, 3])).tolist() == [1 + 2j]


MALFORMED = {
    "content that is too short": _proto("DT_FLOAT", [3], tensor_content=b"\0" * 10),
    "content that is too long": _proto("DT_FLOAT", [1], tensor_content=b"\0" * 8),
    "content for an empty shape": _proto("DT_FLOAT", [0], tensor_content=b"\0" * 4),
    "a negative size": _proto("DT_FLOAT", [-1], float_val=[1]),
    "sizes whose product overflows": _proto("DT_FLOAT", [2**40, 2**40], float_val=[1]),
    "no dtype": tensor_pb2.TensorProto(),
    "a dtype that is not a number's": _proto("DT_RESOURCE", [1]),
    "an unknown dtype": tensor_pb2.TensorProto(dtype=999, float_val=[1]),
    "strings cut short in a length": _proto("DT_STRING", [1], tensor_content=b"\x80"),
    "strings cut short in a string": _proto("DT_STRING", [1], tensor_content=b"\x02a"),
    "strings with more bytes than lengths say": _proto("DT_STRING", [1], tensor_content=b"\x00a"),
    "fewer strings than the shape takes": _proto("DT_STRING", [9], tensor_content=b"\x00"),
    "a length that never ends": _proto("DT_STRING", [1], tensor_content=b"\xff" * 20),
}


@pytest.mark.parametrize("proto", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_does_not_fit_is_a_tensor_error(proto: tensor_pb2.TensorProto):
    with pytest.raises(TensorError):
        from_proto(proto)


def test_an_unknown_rank_is_a_tensor_error():
    proto = tensor_pb2.TensorProto(dtype="DT_FLOAT")
    proto.tensor_shape.unknown_rank = True
    with pytest.raises(TensorError, match="must be known"):
        from_proto(proto)


@given(tensors(), st.data())
def test_a_content_of_any_other_length_is_a_tensor_error(array: Array, data: st.DataObject):
    proto = to_proto(array)
    proto.tensor_content = data.draw(
        st.binary(min_size=1, max_size=100).filter(lambda content: len(content) != array.nbytes)
    )
    with pytest.raises(TensorError, match="bytes"):
        from_proto(proto)


def test_an_array_that_tensorflow_has_no_dtype_for_is_a_tensor_error():
    with pytest.raises(TensorError, match="datetime64"):
        to_proto(np.array(["2020-01-01"], dtype="datetime64[D]"))


def test_every_dtype_is_found_by_its_name_and_by_its_number():
    for dtype in PROTO_DTYPES:
        assert dtype_of_name(dtype.numpy.name) == dtype.numpy
        assert proto_dtype_of_enum(dtype.enum) == dtype
    with pytest.raises(TensorError, match="'float'"):
        dtype_of_name("float")


STUBS_THEN_TENSORFLOW = """
import sys
import contract.tensors, contract.stubs
assert "tensorflow" not in sys.modules
assert "tensorflow.python" not in sys.modules
import tensorflow as tf
assert tf.constant([1, 2]).numpy().tolist() == [1, 2]
from contract.stubs import tensor_pb2
proto = tensor_pb2.TensorProto()
proto.CopyFrom(tf.make_tensor_proto([1.5]))
assert contract.tensors.from_proto(proto).tolist() == [1.5]
"""


@pytest.mark.processes
def test_the_stubs_leave_tensorflow_unimported_and_importable():
    subprocess.run([sys.executable, "-c", STUBS_THEN_TENSORFLOW], check=True)
