import asyncio

import pytest

from deployments.decoder.outbox import Outbox
from deployments.errors import TensorloomError
from deployments.messages import FinishReason, TokenChunk, TokenLogprobs


async def test_probabilities_leave_with_their_tokens():
    outbox = Outbox()
    logprobs = [TokenLogprobs(-0.5 - i, ((i, -0.25),)) for i in range(3)]
    outbox.put(1, logprobs[0])
    outbox.put(2, logprobs[1])
    assert await outbox.take() == TokenChunk((1, 2), None, (logprobs[0], logprobs[1]))
    outbox.put(3, logprobs[2])
    outbox.finish(FinishReason.STOP)
    chunk = await outbox.take()
    assert chunk == TokenChunk((3,), FinishReason.STOP, (logprobs[2],))


async def test_the_first_token_leaves_at_once_and_later_ones_when_they_are_sent():
    outbox = Outbox()
    outbox.put(1)
    assert await outbox.take() == TokenChunk((1,))
    taking = asyncio.create_task(outbox.take())
    outbox.put(2)
    outbox.put(3)
    await asyncio.sleep(0)
    assert not taking.done()
    outbox.send()
    assert await taking == TokenChunk((2, 3))


async def test_nothing_is_sent_without_tokens():
    outbox = Outbox()
    taking = asyncio.create_task(outbox.take())
    outbox.send()
    await asyncio.sleep(0)
    assert not taking.done()
    outbox.put(1)
    assert await taking == TokenChunk((1,))


async def test_tokens_that_gathered_leave_together_with_the_finish():
    outbox = Outbox()
    outbox.put(1)
    assert await outbox.take() == TokenChunk((1,))
    outbox.put(2)
    outbox.put(3)
    outbox.finish(FinishReason.LENGTH)
    assert await outbox.take() == TokenChunk((2, 3), FinishReason.LENGTH)


async def test_tokens_before_an_error_come_first():
    outbox = Outbox()
    outbox.put(1)
    assert await outbox.take() == TokenChunk((1,))
    outbox.put(2)
    outbox.fail(TensorloomError("broken"))
    assert await outbox.take() == TokenChunk((2,))
    with pytest.raises(TensorloomError, match="broken"):
        await outbox.take()
