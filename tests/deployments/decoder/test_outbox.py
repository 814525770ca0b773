import asyncio

import pytest

from deployments.decoder.outbox import Outbox
from deployments.errors import TensorloomError
from deployments.messages import FinishReason, TokenChunk, TokenLogprobs

FOR_EVER = 3600.0


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
    outbox.fail(TensorloomError("broken"))
    assert await outbox.take() == TokenChunk((1,))
    with pytest.raises(TensorloomError, match="broken"):
        await outbox.take()


@pytest.mark.parametrize(
    "end", [lambda o: o.finish(FinishReason.STOP), lambda o: o.fail(TensorloomError("x"))]
)
async def test_gathering_ends_with_the_sequence(end):
    outbox = Outbox()
    gathering = asyncio.create_task(outbox.gather(FOR_EVER))
    outbox.put(1)
    await asyncio.sleep(0)
    assert not gathering.done()
    end(outbox)
    await gathering


async def test_gathering_ends_with_its_time():
    outbox = Outbox()
    await outbox.gather(0.001)
    outbox.put(1)
    assert await outbox.take() == TokenChunk((1,))
