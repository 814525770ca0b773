"""Responses cut into pieces at any byte."""

import pytest

from bench.errors import ResponseError
from bench.sse import EventReader

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
# One event in two chunks, two events in one, and an event that looks like a chunk's end.
BODY = (
    b"8\r\ndata: {1\r\n4\r\n2}\n\n\r\n19\r\ndata: {3}\n\ndata: [DONE]\n\n\r\n"
    b"11\r\ndata: a\r\n0\r\n\r\nb\n\n\r\n0\r\n\r\n"
)
EVENTS = [b"{12}", b"{3}", b"[DONE]", b"a\r\n0\r\n\r\nb"]


def test_events_are_found_whatever_the_framing():
    assert EventReader().feed(HEAD + BODY) == EVENTS


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_events_are_the_same_in_pieces_of_any_size(size):
    reader, stream = EventReader(), HEAD + BODY
    pieces = (stream[i : i + size] for i in range(0, len(stream), size))
    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS


def test_an_event_is_given_with_the_piece_that_completes_it():
    reader = EventReader()
    assert reader.feed(HEAD + b"b\r\ndata: {1}\n") == []
    assert reader.feed(b"\n") == [b"{1}"]


def test_an_error_status_is_raised_with_the_body():
    with pytest.raises(ResponseError, match=r"429 Too Many Requests: .*all places are taken"):
        EventReader().feed(b"HTTP/1.1 429 Too Many Requests\r\nx: y\r\n\r\nall places are taken")


def test_a_body_that_is_not_chunked_is_refused():
    with pytest.raises(ResponseError, match="not chunked"):
        EventReader().feed(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
