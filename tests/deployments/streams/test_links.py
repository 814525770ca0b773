"""Links within one process: values that one end sends, the other end receives."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.messages import FinishReason, TextChunk, TextLogprobs, TokenChunk, TokenLogprobs, TokenText
from deployments.streams.frames import HEADER, LaneAddress, decode_body, encode_frame, split_frames
from deployments.streams.inbox import Lane
from deployments.streams.outlets import LinkLostError, Outlets

values = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(), lambda inner: st.lists(inner).map(tuple)
)


@given(st.lists(st.tuples(st.integers(0, 2**32), values)))
def test_a_frame_carries_its_items(items):
    frame = encode_frame(items)
    (size,) = HEADER.unpack(frame[: HEADER.size])
    assert size == len(frame) - HEADER.size
    assert decode_body(frame[HEADER.size :]) == tuple(items)


@given(st.lists(st.binary(max_size=20)), st.data())
def test_frames_are_found_wherever_the_bytes_of_a_link_are_cut(bodies, data):
    sent = b"".join(HEADER.pack(len(body)) + body for body in bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    found, rest = [], b""
    for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        complete, rest = split_frames(rest + sent[begin:end])
        found += complete
    assert (found, rest) == (bodies, b"")


@pytest.mark.parametrize(
    "chunk",
    [
        TokenChunk((1, 2)),
        TokenChunk((1,), FinishReason.STOP, (TokenLogprobs(-0.5, ((3, -0.25), (4, -1.5))),)),
        TextChunk("a", 1),
        TextChunk("", 0, FinishReason.LENGTH, ()),
        TextChunk(
            "é",
            2,
            None,
            (TextLogprobs(TokenText("bytes:\\xc3", b"\xc3", -0.5), 7, (TokenText("b", None, -1.5),)),),
        ),
    ],
)
def test_chunks_come_out_of_a_frame_as_they_went_in(chunk):
    ((_, packed),) = decode_body(encode_frame([(0, chunk.packed())])[HEADER.size :])
    assert type(chunk).unpacked(packed) == chunk
    assert repr(type(chunk).unpacked(packed)) == repr(chunk), "of the same types, too"


@pytest.fixture
async def outlets() -> AsyncIterator[Outlets]:
    outlets = Outlets()
    yield outlets
    await outlets.close()


async def take(lane: Lane, count: int) -> list[object]:
    return [await lane.take() for _ in range(count)]


async def test_lanes_get_their_own_values_in_order(inbox, outlets):
    lanes = [await inbox.open() for _ in range(3)]
    for value in range(100):
        outlet = await outlets.to(lanes[value % 3].address)
        outlet.send(lanes[value % 3].address.lane, value)
    taken = [await take(lane, 34 - (i > 0)) for i, lane in enumerate(lanes)]
    assert taken == [list(range(i, 100, 3)) for i in range(3)]


async def test_what_is_sent_within_one_turn_travels_in_one_frame(inbox, outlets, monkeypatch):
    delivered = []
    monkeypatch.setattr(inbox, "_deliver", lambda body: delivered.append(decode_body(body)))
    lanes = [await inbox.open() for _ in range(16)]
    outlet = await outlets.to(lanes[0].address)

    async def session(lane: Lane) -> None:
        outlet.send(lane.address.lane, "token")

    await asyncio.gather(*(session(lane) for lane in lanes))
    while not delivered:
        await asyncio.sleep(0)
    assert [len(items) for items in delivered] == [16]


async def test_one_connection_serves_all_lanes_of_a_reader(inbox, outlets):
    lanes = [await inbox.open() for _ in range(5)]
    used = await asyncio.gather(*(outlets.to(lane.address) for lane in lanes))
    assert len(set(map(id, used))) == 1


async def test_what_comes_for_a_lane_that_was_closed_is_dropped(inbox, outlets):
    closed, open_ = await inbox.open(), await inbox.open()
    closed.close()
    outlet = await outlets.to(open_.address)
    outlet.send(closed.address.lane, 1)
    outlet.send(open_.address.lane, 2)
    assert await open_.take() == 2


async def test_values_that_are_there_come_before_the_error(inbox, outlets):
    lane = await inbox.open()
    outlet = await outlets.to(lane.address)
    outlet.send(lane.address.lane, "last")
    lane.put("first")
    assert await lane.take() == "first"
    assert await lane.take() == "last"
    lane.fail(ValueError("over"))
    with pytest.raises(ValueError, match="over"):
        await lane.take()


async def test_a_writer_without_the_key_is_not_read(inbox, outlets):
    lane = await inbox.open()
    forged = replace(lane.address.link, key=b"?" * len(lane.address.link.key))
    intruder = await outlets.to(LaneAddress(forged, lane.address.lane))
    intruder.send(lane.address.lane, "forged")
    while not intruder.lost:
        await asyncio.sleep(0)
    honest = await outlets.to(lane.address)
    honest.send(lane.address.lane, "true")
    assert await lane.take() == "true"


async def test_a_reader_that_is_gone_is_told_to_the_writer_and_a_new_connection_is_made(inbox, outlets):
    lane = await inbox.open()
    outlet = await outlets.to(lane.address)
    outlet.close()
    with pytest.raises(LinkLostError):
        outlet.send(lane.address.lane, 1)
    again = await outlets.to(lane.address)
    again.send(lane.address.lane, 2)
    assert await lane.take() == 2


async def test_a_reader_that_cannot_be_reached_is_named(inbox, outlets):
    lane = await inbox.open()
    await inbox.close()
    with pytest.raises(LinkLostError, match=r"127\.0\.0\.1:\d+ cannot be reached"):
        await outlets.to(lane.address)
