"""From recorded bytes to a trace."""

import asyncio
import json

import pytest

from bench.errors import ResponseError
from bench.latency import Chunk
from bench.streaming import Recording, complete, trace

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def event(tokens: int) -> bytes:
    return b"data: " + json.dumps({"usage": {"completion_tokens": tokens}}).encode() + b"\n\n"


def framed(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def recording(*pieces: tuple[float, bytes], abandoned: bool = False) -> Recording:
    return Recording(1.0, asyncio.Event(), [(0.0, HEAD), *pieces], abandoned=abandoned)


def test_a_chunk_has_the_tokens_by_which_the_count_grew():
    recorded = recording((2.0, framed(event(1))), (3.0, framed(event(4))), (4.0, framed(event(4) + DONE)))
    assert trace(recorded).chunks == (Chunk(2.0, 1), Chunk(3.0, 3))


def test_events_that_arrive_together_have_the_same_time():
    recorded = recording((2.0, framed(event(1)) + framed(event(2))), (3.0, framed(DONE)))
    assert trace(recorded).chunks == (Chunk(2.0, 1), Chunk(2.0, 1))


def test_a_stream_that_ends_early_is_an_error():
    with pytest.raises(ResponseError, match="ended after 3 tokens"):
        trace(recording((2.0, framed(event(3)))))


def test_a_stream_that_was_abandoned_counts_as_far_as_it_came():
    assert trace(recording((2.0, framed(event(3))), abandoned=True)).chunks == (Chunk(2.0, 3),)


def test_an_error_inside_the_stream_is_raised():
    failure = b'data: {"error": {"message": "the model server is gone"}}\n\n'
    with pytest.raises(ResponseError, match="the model server is gone"):
        trace(recording((2.0, framed(failure))))


async def test_a_request_is_recorded_until_the_server_closes():
    asked = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.set_result((head.split(b"\r\n")[0], await reader.readexactly(4)))
        writer.write(HEAD + framed(event(2)) + framed(DONE))
        await writer.drain()
        writer.close()

    recorded = Recording(0.0, asyncio.Event())
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await complete("127.0.0.1", port, b"body", recorded)
    assert await asked == (b"POST /v1/completions HTTP/1.1", b"body")
    assert recorded.begun.is_set()
    assert recorded.whole
    assert [chunk.tokens for chunk in trace(recorded).chunks] == [2]
