"""Protobuf's encoding of varints and length-delimited fields, and TensorFlow's encoding of string lists."""

from itertools import accumulate, pairwise

from contract.errors import TensorError

_LENGTH_DELIMITED = 2
_BITS = 7
_MORE = 0x80


def field(number: int, payload: bytes) -> bytes:
    """Encodes a length-delimited field, such as a packed repeated field or a message."""
    return head(number, len(payload)) + payload


def head(number: int, size: int) -> bytes:
    """Encodes the tag and length that precede the `size` bytes of a length-delimited field."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(size)


def varint(value: int) -> bytes:
    """Encodes an integer of at least 0."""
    groups = bytearray()
    while value >= _MORE:
        groups.append(value % _MORE | _MORE)
        value >>= _BITS
    groups.append(value)
    return bytes(groups)


def read_varints(content: bytes, count: int) -> tuple[list[int], int]:
    """Returns the first `count` varints of `content`, and the offset after the last.

    Raises TensorError if `content` ends before, or a varint has more than 10 bytes.
    """
    values: list[int] = []
    value = shift = position = 0
    while len(values) < count:
        if position == len(content) or shift > 63:
            raise TensorError(f"tensor_content has no valid length for string {len(values)} of {count}")
        group = content[position]
        value |= (group & (_MORE - 1)) << shift
        shift += _BITS
        position += 1
        if group < _MORE:
            values.append(value)
            value = shift = 0
    return values, position


def strings(items: list[bytes]) -> bytes:
    """Encodes the `tensor_content` of a DT_STRING tensor: all lengths as varints, then all bytes."""
    return b"".join(varint(len(item)) for item in items) + b"".join(items)


def read_strings(content: bytes, count: int) -> list[bytes]:
    """Decodes the `tensor_content` of a DT_STRING tensor of `count` strings.

    Raises TensorError if the lengths do not add up to the bytes that follow them.
    """
    if count > len(content):
        raise TensorError(f"tensor_content has {len(content)} bytes, too few for {count} strings")
    lengths, position = read_varints(content, count)
    if position + sum(lengths) != len(content):
        raise TensorError(
            f"strings have {len(content) - position} bytes; their lengths sum to {sum(lengths)}"
        )
    return [content[start:end] for start, end in pairwise(accumulate(lengths, initial=position))]
