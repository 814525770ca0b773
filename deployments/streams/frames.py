"""The format of a link: length-prefixed frames of items, each addressed to a lane. Pure."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgpack

Item: TypeAlias = tuple[int, Any]
"""(lane number, value); the value consists of types that msgpack encodes."""

HEADER = struct.Struct(">I")
"""Precedes each frame: the length of its body in bytes."""


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """Where a process listens, and the key that a writer sends first to be accepted."""

    host: str
    port: int
    key: bytes


@dataclass(frozen=True, slots=True)
class LaneAddress:
    """Where the items of one generation go: a process and the number of a lane there."""

    link: LinkAddress
    lane: int


def encode_frame(items: Sequence[Item]) -> bytes:
    """Encodes `items` as a frame, header included."""
    body: bytes = msgpack.packb(items)
    return HEADER.pack(len(body)) + body


def split_frames(received: bytes) -> tuple[list[bytes], bytes]:
    """Splits the bytes of a link into the bodies of its complete frames, and the rest."""
    bodies = []
    start = 0
    while len(received) - start >= HEADER.size:
        (size,) = HEADER.unpack_from(received, start)
        end = start + HEADER.size + size
        if end > len(received):
            break
        bodies.append(received[start + HEADER.size : end])
        start = end
    return bodies, received[start:]


def decode_body(body: bytes) -> Sequence[Item]:
    """Decodes the items of a frame from its body, without the header."""
    items: tuple[Item, ...] = msgpack.unpackb(body, use_list=False)
    return items
