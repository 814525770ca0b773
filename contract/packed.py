"""Bytes that stand for many values at once: packed protobuf fields, and lists of strings.

Knows protobuf's varints and nothing of tensors.
"""

from itertools import accumulate, pairwise

from contract.errors import TensorError

_LENGTH_DELIMITED = 2
_BITS = 7
_MORE = 0x80


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited field, such as a packed repeated one."""
    return head(number, len(payload)) + payload


def head(number: int, size: int) -> bytes:
    """What goes before the `size` bytes of a length-delimited field."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(size)


def varint(value: int) -> bytes:
    """One number, which must not be negative."""
    groups = bytearray()
    while value >= _MORE:
        groups.append(value % _MORE | _MORE)
        value >>= _BITS
    groups.append(value)
    return bytes(groups)


def read_varints(content: bytes, count: int) -> tuple[list[int], int]:
    """The first `count` numbers in `content`, and where they end."""
    values: list[int] = []
    value = shift = position = 0
    while len(values) < count:
        if position == len(content) or shift > 63:
            raise TensorError("a list of strings is cut short")
        group = content[position]
        value |= (group & (_MORE - 1)) << shift
        shift += _BITS
        position += 1
        if group < _MORE:
            values.append(value)
            value = shift = 0
    return values, position


def strings(items: list[bytes]) -> bytes:
    """TensorFlow's `tensor_content` of a DT_STRING: all the lengths, then all the bytes."""
    return b"".join(varint(len(item)) for item in items) + b"".join(items)


def read_strings(content: bytes, count: int) -> list[bytes]:
    """The `count` strings that `content` stands for; TensorError where it does not fit."""
    if count > len(content):
        raise TensorError(f"{len(content)} bytes cannot hold {count} strings")
    lengths, position = read_varints(content, count)
    if position + sum(lengths) != len(content):
        raise TensorError(f"strings of {sum(lengths)} bytes came with {len(content) - position}")
    return [content[start:end] for start, end in pairwise(accumulate(lengths, initial=position))]
