"""Several steps in one call with explicit state: the same tokens as step by step, in any batch."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.decoder.loop import DecodeLoop
from deployments.decoder.sequence import TokenSequence
from deployments.decoder.servers.model_servers import ServerLostError
from deployments.errors import TensorloomError
from deployments.messages import FinishReason, SamplingParams
from tests.deployments.decoder.arithmetic import (
    MANIFEST,
    STEP_BY_STEP,
    ArithmeticServers,
    continuation,
)
from tests.deployments.decoder.sessions import collect, greedy, running, tokens_of
from tests.deployments.decoder.test_loop import make_loop


@pytest.fixture
async def servers() -> ArithmeticServers:
    return ArithmeticServers()


@pytest.fixture
async def loop(servers: ArithmeticServers) -> AsyncIterator[DecodeLoop]:
    async with running(make_loop(servers)) as loop:
        yield loop


def seeded(name: str, seed: int) -> TokenSequence:
    return TokenSequence(name, (3, 4), 30, SamplingParams(temperature=1.5, seed=seed))


async def test_a_stable_batch_takes_several_steps_in_a_call(loop, servers):
    assert await tokens_of(loop, greedy("a", [1, 2])) == continuation([1, 2], 20)
    decodes = [
        width for (_, width), name in zip(servers.calls, servers.signatures, strict=True) if name == "decode"
    ]
    assert sum(decodes) == 19, "one is sampled after the prompt"
    assert len(decodes) < 10
    assert max(decodes) <= MANIFEST.decode_steps


async def test_a_row_that_is_not_stable_is_stepped_without_waiting_for_others(loop, servers):
    long = greedy("long", list(range(1, 16)) * 4, 3)
    await asyncio.gather(tokens_of(loop, greedy("a", [1, 2], 6)), tokens_of(loop, long))
    first_decode = servers.signatures.index("decode")
    assert (1, 1) in servers.calls[:first_decode], "a decoding row beside a prompt in chunks"


async def test_an_end_token_in_the_middle_of_a_call_ends_the_sequence(loop):
    expected = continuation([1, 2], 20)
    eos = expected[10]
    tokens, finish = await collect(loop, greedy("a", [1, 2], eos=frozenset({eos})))
    assert (tokens, finish) == (expected[: expected.index(eos)], FinishReason.STOP)


async def test_seeded_text_is_the_same_wherever_tokens_are_sampled(loop):
    async with running(make_loop(ArithmeticServers(), STEP_BY_STEP)) as other:
        for seed in range(5):
            assert await tokens_of(loop, seeded("a", seed)) == await tokens_of(other, seeded("a", seed))


async def test_a_sequence_cancelled_while_several_steps_run_is_passed_over(loop, servers):
    stays, goes = greedy("stays", [1, 2], 40), greedy("goes", [3], 40)
    kept = asyncio.create_task(tokens_of(loop, stays))
    loop.submit(goes)
    while servers.signatures.count("decode") < 2:
        await asyncio.sleep(0)
    servers.gate.clear()  # before the call has passed it
    loop.cancel(goes)
    assert loop.engine.held == 1
    servers.gate.set()
    assert await kept == continuation([1, 2], 40)


async def test_a_lost_call_is_sent_again_with_the_same_state(loop, servers):
    working, lost = servers.call, []

    async def call(signature, inputs):
        answer = await working(signature, inputs)
        if signature == "decode" and len(lost) < 3:
            lost.append(signature)
            raise ServerLostError("gone after it ran")
        return answer

    servers.call = call
    assert await tokens_of(loop, greedy("a", [1, 2])) == continuation([1, 2], 20)
    assert len(lost) == 3


@pytest.mark.parametrize("token", [-1, 1])
async def test_an_answer_of_no_tokens_or_of_too_many_is_rejected_and_its_rows_run_apart(loop, servers, token):
    """Too many would not fit into the state; none would leave the sequence without progress."""
    working, wrong = servers.call, []

    async def call(signature, inputs):
        answer = await working(signature, inputs)
        if signature == "decode" and len(inputs["budget"]) == 2 and len(set(inputs["budget"].tolist())) == 2:
            answer["tokens"][inputs["budget"].argmin()] = token
            wrong.append(token)
        return answer

    servers.call = call
    sequences = [greedy("short", [1, 2], 15), greedy("long", [1, 3], 60)]
    answers = await asyncio.gather(*(tokens_of(loop, sequence) for sequence in sequences))
    assert answers == [continuation([1, 2], 15), continuation([1, 3], 60)]
    assert wrong


async def test_an_answer_without_tokens_fails_its_sequence(loop, servers):
    working = servers.call

    async def call(signature, inputs):
        answer = await working(signature, inputs)
        return {} if signature == "decode" else answer

    servers.call = call
    with pytest.raises(TensorloomError, match="breaks the contract"):
        await tokens_of(loop, greedy("a", [1, 2]))


@settings(max_examples=40)
@given(
    sessions=st.lists(
        st.tuples(st.lists(st.integers(1, 15), min_size=1, max_size=30), st.integers(1, 40)),
        min_size=1,
        max_size=9,
    ),
    leaving=st.lists(st.tuples(st.integers(1, 6), st.integers(0, 8)), max_size=4),
    available=st.integers(1, 3),
)
def test_whoever_leaves_every_other_answer_is_right(sessions, leaving, available):
    async def run() -> dict[int, list[int]]:
        servers = ArithmeticServers(available)
        async with running(make_loop(servers, MANIFEST)) as loop:
            sequences = [greedy(str(i), prompt, count) for i, (prompt, count) in enumerate(sessions)]
            tasks = {i: asyncio.create_task(tokens_of(loop, s)) for i, s in enumerate(sequences)}
            seen = 0
            for after, leaver in leaving:
                seen += after
                while len(servers.calls) < seen and not all(task.done() for task in tasks.values()):
                    await asyncio.sleep(0)
                if leaver in tasks:
                    loop.cancel(sequences[leaver])
                    tasks.pop(leaver).cancel()
            return {i: await task for i, task in tasks.items()}

    answers = asyncio.run(run())
    assert answers == {i: continuation(*sessions[i]) for i in answers}
