"""What goes over a connection: frames of items, each for a lane. Pure."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgpack

Item: TypeAlias = tuple[int, Any]
"""(lane, plain value): what msgpack carries."""

HEADER = struct.Struct(">I")
"""Bytes of the frame's body."""


@dataclass(frozen=True, slots=True)
class LinkAddress:
    """Where a process listens, and what it wants to be told by whoever connects."""

    host: str
    port: int
    key: bytes


@dataclass(frozen=True, slots=True)
class LaneAddress:
    """Where one generation's items go."""

    link: LinkAddress
    lane: int


def encode(items: Sequence[Item]) -> bytes:
    """A frame with its header."""
    body: bytes = msgpack.packb(items)
    return HEADER.pack(len(body)) + body


def decode(body: bytes) -> list[Item]:
    """The items of a frame's body."""
    return [(lane, value) for lane, value in msgpack.unpackb(body, use_list=False)]
