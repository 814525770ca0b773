"""The decode loop over a model whose answers can be computed by hand (arithmetic.py)."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from contract.manifest import Manifest
from deployments.decoder.explicit.admission import ReservedAdmission
from deployments.decoder.explicit.engine import ExplicitEngine
from deployments.decoder.explicit.state_store import StateStore
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.sequence import TokenSequence
from deployments.errors import TensorloomError
from deployments.messages import FinishReason, SamplingParams
from tests.deployments.decoder.arithmetic import MANIFEST, STEP_BY_STEP, ArithmeticServers, continuation
from tests.deployments.decoder.sessions import collect, greedy, running

LIMITS = Limits(max_batch_size=8, max_running=16, max_waiting=64, prefill_token_budget=16)


def make_loop(servers: ArithmeticServers, manifest: Manifest = MANIFEST) -> DecodeLoop:
    scheduler = Scheduler(LIMITS, ReservedAdmission(1 << 20, manifest.state_bytes))
    # An hour: as many steps as the model allows, whenever the batch is stable.
    return DecodeLoop(scheduler, ExplicitEngine(StateStore(manifest), servers, 3600), 0.1)


@pytest.fixture
async def servers() -> ArithmeticServers:
    return ArithmeticServers()


@pytest.fixture(params=[MANIFEST, STEP_BY_STEP], ids=["several steps", "step by step"])
async def loop(servers: ArithmeticServers, request: pytest.FixtureRequest) -> AsyncIterator[DecodeLoop]:
    async with running(make_loop(servers, request.param)) as loop:
        yield loop


async def test_the_worked_example_comes_out(loop):
    assert await collect(loop, greedy("a", [1, 2], 4)) == ([5, 11, 7, 15], FinishReason.LENGTH)


async def test_an_end_token_stops_and_is_not_handed_out(loop):
    assert await collect(loop, greedy("a", [1, 2], 4, eos=frozenset({7}))) == ([5, 11], FinishReason.STOP)


async def test_many_sequences_of_mixed_lengths_each_get_what_they_get_alone(loop, servers):
    prompts = [[(i * j) % 15 + 1 for j in range(1, 3 + 5 * i)] for i in range(12)]
    together = [collect(loop, greedy(str(i), p, max_tokens=60 + i)) for i, p in enumerate(prompts)]
    results = await asyncio.gather(*together)
    assert [tokens for tokens, _ in results] == [continuation(p, 60 + i) for i, p in enumerate(prompts)]
    assert max(batch for batch, _ in servers.calls) == LIMITS.max_batch_size


async def test_sequences_share_calls_over_several_model_servers(loop, servers):
    servers.available = 3
    results = await asyncio.gather(*(collect(loop, greedy(str(i), [i + 1], 4)) for i in range(9)))
    assert [tokens for tokens, _ in results] == [continuation([i + 1], 4) for i in range(9)]


async def test_a_seeded_sequence_is_the_same_alone_and_among_others(loop):
    def seeded(name: str) -> TokenSequence:
        return TokenSequence(name, (3, 4), 20, SamplingParams(temperature=1.5, seed=7))

    alone = await collect(loop, seeded("alone"))
    others = [collect(loop, greedy(str(i), [i + 1] * (i + 1), max_tokens=9)) for i in range(6)]
    among, *_ = await asyncio.gather(collect(loop, seeded("among")), *others)
    assert among == alone


async def test_a_sequence_cancelled_while_its_call_runs_is_gone_at_once(loop, servers):
    servers.gate.clear()
    stays, goes = greedy("stays", [1, 2], 4), greedy("goes", [3], 4)
    kept = asyncio.create_task(collect(loop, stays))
    loop.submit(goes)
    while not servers.calls:
        await asyncio.sleep(0)
    loop.cancel(goes)
    assert loop.engine.held == 1
    assert [s.id for s in loop.scheduler.live] == ["stays"]
    servers.gate.set()
    assert (await kept)[0] == [5, 11, 7, 15]


async def test_only_the_row_at_fault_fails_when_the_server_rejects_a_call(loop, servers):
    servers.poison = 13
    good = [collect(loop, greedy(str(i), [1, 2], 4)) for i in range(5)]
    bad = collect(loop, greedy("bad", [13], 4))
    *results, failure = await asyncio.gather(*good, bad, return_exceptions=True)
    assert results == [([5, 11, 7, 15], FinishReason.LENGTH)] * 5
    assert isinstance(failure, TensorloomError)
    assert "token 13 is poison" in failure.message


async def test_logits_that_are_nan_fail_their_sequence(loop, servers):
    working = servers.call

    async def call(signature, inputs):
        outputs = await working(signature, inputs)
        outputs["logits"][inputs["total"] == 0] = float("nan")
        return outputs

    servers.call = call
    with pytest.raises(TensorloomError, match="NaN"):
        await collect(loop, greedy("a", [1, 2], 4))


async def test_an_answer_that_breaks_the_contract_fails_its_sequences_and_not_the_loop(loop, servers):
    working = servers.call

    async def call(signature, inputs):
        return {
            name: tensor for name, tensor in (await working(signature, inputs)).items() if name != "history"
        }

    servers.call = call
    with pytest.raises(TensorloomError, match=r"breaks the contract.*history"):
        await collect(loop, greedy("a", [1, 2], 4))
    servers.call = working
    assert (await collect(loop, greedy("b", [1, 2], 4)))[0] == [5, 11, 7, 15]


async def test_tokens_that_are_not_taken_gather_and_come_at_once(loop):
    outbox = loop.submit(greedy("a", [1, 2], 4))
    while loop.scheduler.live:
        await asyncio.sleep(0)
    chunk = await outbox.take()
    assert (chunk.ids, chunk.finish) == ((5, 11, 7, 15), FinishReason.LENGTH)


async def test_tokens_do_not_wait_for_a_call_that_hangs(servers):
    async with running(make_loop(servers, STEP_BY_STEP)) as loop:
        outbox = loop.submit(greedy("a", [1, 2], 40))
        received = list((await outbox.take()).ids)
        while len(servers.calls) < 12:
            await asyncio.sleep(0)
        servers.gate.clear()
        computed = loop.scheduler.live[0].generated
        while received != computed:
            received += (await outbox.take()).ids
        servers.gate.set()
        while (chunk := await outbox.take()).finish is None:
            received += chunk.ids
        assert [*received, *chunk.ids] == continuation([1, 2], 40)


async def test_a_bug_in_the_loop_fails_every_sequence_instead_of_hanging(servers):
    async def call(*_):
        raise ZeroDivisionError

    servers.call = call
    loop = make_loop(servers)
    running = asyncio.create_task(loop.run())
    with pytest.raises(TensorloomError, match="ZeroDivisionError"):
        await collect(loop, greedy("a", [1, 2], 4))
    with pytest.raises(ZeroDivisionError):
        await running
