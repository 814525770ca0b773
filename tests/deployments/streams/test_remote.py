"""A call's stream: once its reader abandons it, its call is cancelled and its lane is removed."""

import asyncio

import pytest

from deployments.errors import TensorloomError
from deployments.ingress.resolve import RequestOptions
from deployments.ingress.service import Service
from deployments.messages import FinishReason, GenerateRequest, TextChunk, TextPrompt
from deployments.streams import remote
from deployments.streams.inbox import Inbox, Lane
from tests.deployments.in_process import InProcess

LAST = TextChunk("b", 1, FinishReason.STOP)


class Response(asyncio.Future[None]):
    """The response of a handle's call; a test sets its result or sees it cancelled."""


@pytest.fixture
async def lane(inbox: Inbox) -> Lane:
    return await inbox.open()


def _is_open(inbox: Inbox, lane: Lane) -> bool:
    return lane.address.lane in inbox._lanes


async def test_items_come_up_to_the_finish_and_the_call_is_left_to_end(inbox: Inbox, lane: Lane) -> None:
    response = Response()
    for chunk in (TextChunk("a", 1), LAST, TextChunk("never", 1)):
        lane.put(chunk.packed())
    got = [chunk async for chunk in remote.read_stream(response, lane, TextChunk.unpacked)]
    assert got == [TextChunk("a", 1), LAST]
    assert not response.cancelled()
    assert not _is_open(inbox, lane)


async def test_one_that_is_closed_before_its_first_item_was_asked_for(inbox: Inbox, lane: Lane) -> None:
    response = Response()
    await remote.read_stream(response, lane, TextChunk.unpacked).aclose()
    assert response.cancelled()
    assert not _is_open(inbox, lane)


async def test_one_whose_reader_is_cancelled(inbox: Inbox, lane: Lane) -> None:
    response = Response()
    reader = asyncio.ensure_future(anext(remote.read_stream(response, lane, TextChunk.unpacked)))
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert response.cancelled()
    assert not _is_open(inbox, lane)


async def test_one_that_ends_without_its_finish_says_so_once(inbox: Inbox, lane: Lane) -> None:
    response = Response()
    response.set_result(None)
    lane.put(None)
    items = remote.read_stream(response, lane, TextChunk.unpacked)
    with pytest.raises(TensorloomError, match="without a finish reason"):
        await anext(items)
    assert [chunk async for chunk in items] == []
    assert not _is_open(inbox, lane)


class Leaving(InProcess):
    """The client leaves in the very turn in which its stream is opened."""

    def __init__(self, items: remote.Stream[TextChunk]) -> None:
        super().__init__()
        self._items = items

    async def generate(self, request: GenerateRequest) -> remote.Stream[TextChunk]:  # noqa: ARG002
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return self._items


async def test_a_client_that_leaves_before_its_stream_was_read_leaves_nothing(
    inbox: Inbox, lane: Lane
) -> None:
    response = Response()
    service = Service(Leaving(remote.read_stream(response, lane, TextChunk.unpacked)))
    request = asyncio.ensure_future(service.generate("cmpl", TextPrompt("echo", "a"), RequestOptions()))
    with pytest.raises(asyncio.CancelledError):
        await request
    assert response.cancelled()
    assert not _is_open(inbox, lane)
