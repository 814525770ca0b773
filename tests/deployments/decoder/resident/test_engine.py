"""The decode loop over a pool whose answers can be computed by hand (pool_arithmetic.py)."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contract.names import CONTINUE
from deployments.decoder.engine import StepRejectedError
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.outbox import Outbox
from deployments.decoder.resident.admission import BlockAdmission
from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.engine import ResidentEngine
from deployments.decoder.resident.lease import MAX_LOSSES, Lease
from deployments.decoder.resident.slots import SlotTable
from deployments.decoder.resident.speculation import Speculation
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.sequence import TokenSequence
from deployments.errors import ModelServerUnavailable, RequestError, TensorloomError
from deployments.messages import SamplingParams
from tests.deployments.decoder.arithmetic import VOCABULARY, continuation
from tests.deployments.decoder.pool_arithmetic import POOL, PoolServer, lost
from tests.deployments.decoder.sessions import greedy, running, tokens_of

SLOTS = 6
TROUBLES = ["lose", "steal", "die", "refuse"]
LIMITS = Limits(
    max_batch_size=SLOTS,
    max_running=SLOTS,
    max_waiting=64,
    prefill_token_budget=24,
    one_pass=True,
    min_shared_prefix=20,
)


WHOLE = BlockLayout((SLOTS,) * POOL.blocks)
SCARCE = BlockLayout((SLOTS, 2, 1, 1))


def make_loop(server: PoolServer, layout: BlockLayout = WHOLE, draft_tokens: int = 0) -> DecodeLoop:
    slots = SlotTable(layout, POOL.block_size)
    # An hour: as many steps as the pool allows, whenever the batch is stable.
    engine = ResidentEngine(
        POOL, slots, Lease(server, layout.slots), interval_s=3600, draft_tokens=draft_tokens
    )
    return DecodeLoop(Scheduler(LIMITS, BlockAdmission(POOL, layout)), engine, 0.1)


@pytest.fixture
async def server() -> PoolServer:
    return PoolServer()


@pytest.fixture
async def loop(server: PoolServer) -> AsyncIterator[DecodeLoop]:
    async with running(make_loop(server)) as loop:
        yield loop


def seeded(name: str, prompt: list[int], seed: int, max_tokens: int = 20) -> TokenSequence:
    return TokenSequence(name, tuple(prompt), max_tokens, SamplingParams(seed=seed))


async def test_a_stable_batch_takes_several_steps_in_a_call(loop, server):
    assert await tokens_of(loop, greedy("a", [1, 2])) == continuation([1, 2], 20)
    decodes = [call for call in server.calls if call[0].startswith("decode")]
    assert len(decodes) < 8, "1 + 19 tokens, up to 8 a call, after the first was measured"


async def test_one_call_decodes_some_and_prefills_others(loop, server):
    first = asyncio.create_task(tokens_of(loop, greedy("first", [1, 2], 60)))
    await decoding_twice(server)
    others = [seeded("second", [5, 6] * 20, seed=3), greedy("third", [9] * 30)]
    answers = [asyncio.create_task(tokens_of(loop, other)) for other in others]
    server.gate.set()
    assert await first == continuation([1, 2], 60)
    seen = [await answer for answer in answers]
    # 70 tokens, 24 at most in a call. What decodes gets a token in each of them.
    assert server.decoded[:4] == [0, 1, 1, 2], "one call for the first prompt, then three for the others"
    assert seen[0] == await tokens_of(loop, seeded("alone", [5, 6] * 20, seed=3))
    assert seen[1] == continuation([9] * 30, 20)


async def decoding_twice(server: PoolServer) -> None:
    """Waits until a decode call was sent before the one before it ended, and holds both back."""
    while server.running < 2:
        await asyncio.sleep(0)
    server.gate.clear()


async def test_the_next_decode_call_is_sent_before_the_last_one_has_ended(loop, server):
    task = asyncio.create_task(tokens_of(loop, greedy("a", [1, 2], 60)))
    await decoding_twice(server)
    server.gate.set()
    assert await task == continuation([1, 2], 60)


async def test_what_joins_while_calls_are_on_their_way_gets_what_it_gets_alone(loop, server):
    first = asyncio.create_task(tokens_of(loop, greedy("first", [1, 2], 60)))
    await decoding_twice(server)
    second = asyncio.create_task(tokens_of(loop, seeded("second", [5, 6], seed=3)))
    server.gate.set()
    assert await first == continuation([1, 2], 60)
    assert await second == await tokens_of(loop, seeded("alone", [5, 6], seed=3))


async def test_the_slot_of_one_that_left_while_calls_are_on_their_way_goes_to_another(loop, server):
    goes = greedy("goes", [4, 4], 90)
    loop.submit(goes)
    stays = asyncio.create_task(tokens_of(loop, greedy("stays", [1, 2], 60)))
    await decoding_twice(server)
    loop.cancel(goes)
    joins = asyncio.create_task(tokens_of(loop, greedy("joins", [7] * 40, 40)))
    server.gate.set()
    assert await stays == continuation([1, 2], 60)
    assert await joins == continuation([7] * 40, 40)


@pytest.mark.parametrize("event", ["lose", "steal", "die"])
async def test_a_pool_that_is_lost_under_two_calls_counts_as_lost_once(loop, server, event):
    for i in range(MAX_LOSSES - 1):
        task = asyncio.create_task(tokens_of(loop, greedy(str(i), [i + 1, 2], 60)))
        await decoding_twice(server)
        server.fail_next = [lost(), lost()] if event == "die" else []
        if event != "die":
            getattr(server, event)()
        server.gate.set()
        assert await task == continuation([i + 1, 2], 60)
        server.calls.clear()


async def test_a_call_that_overtook_the_one_before_it_is_sent_again(loop, server):
    working, refused = server.call, []

    async def call(signature, inputs):
        if signature == "decode" and (inputs["tokens"] == CONTINUE).any() and len(refused) < 3:
            refused.append(signature)
            await asyncio.sleep(0)
            raise StepRejectedError("INVALID_ARGUMENT: assertion failed: [out of turn]")
        return await working(signature, inputs)

    server.call = call
    assert await tokens_of(loop, greedy("a", [1, 2], 60)) == continuation([1, 2], 60)
    assert len(refused) == 3


async def test_one_that_leaves_while_its_call_is_refused_does_not_end_the_loop(loop, server):
    goes = greedy("goes", [4, 4], 90)
    working = server.call

    async def call(signature, inputs):
        if signature == "decode" and (inputs["tokens"] == CONTINUE).any() and goes.live:
            for _ in range(20):  # until the results of the call before it were applied
                await asyncio.sleep(0)
            loop.cancel(goes)
            raise StepRejectedError("INVALID_ARGUMENT: assertion failed: [out of turn]")
        return await working(signature, inputs)

    server.call = call
    loop.submit(goes)
    assert await tokens_of(loop, greedy("stays", [1, 2], 60)) == continuation([1, 2], 60)
    assert not goes.live


async def test_penalties_need_the_tokens_so_that_calls_wait_for_each_other(loop, server):
    penalised = TokenSequence("a", (1, 2), 60, SamplingParams(temperature=0, presence_penalty=1.0))
    working, most = server.call, []

    async def call(signature, inputs):
        most.append(server.running)
        return await working(signature, inputs)

    server.call = call
    await tokens_of(loop, penalised)
    assert max(most) == 0


async def test_an_end_token_in_the_middle_of_a_call_ends_the_sequence(loop):
    expected = continuation([1, 2], 20)
    eos = expected[10]
    assert await tokens_of(loop, greedy("a", [1, 2], eos=frozenset({eos}))) == expected[: expected.index(eos)]


async def test_more_sequences_than_slots_each_get_what_they_get_alone(loop, server):
    prompts = [[(i * j) % 15 + 1 for j in range(1, 3 + 4 * i)] for i in range(14)]
    results = await asyncio.gather(
        *(tokens_of(loop, greedy(str(i), p, 10 + i)) for i, p in enumerate(prompts))
    )
    assert results == [continuation(p, 10 + i) for i, p in enumerate(prompts)]
    assert max(rows for _, rows in server.calls) <= SLOTS


async def test_slots_that_were_left_are_filled_by_the_highest_and_nothing_is_mixed_up(loop, server):
    sessions = [greedy(str(i), [i + 1, 3], max_tokens=4 + 9 * i) for i in range(SLOTS)]
    results = await asyncio.gather(*(tokens_of(loop, session) for session in sessions))
    assert results == [continuation([i + 1, 3], 4 + 9 * i) for i in range(SLOTS)]
    assert any(signature == "move" for signature, _ in server.calls)


async def test_a_seeded_sequence_is_the_same_alone_among_others_and_after_a_loss(loop, server):
    alone = await tokens_of(loop, seeded("alone", [3, 4], seed=7))
    among, *_ = await asyncio.gather(
        tokens_of(loop, seeded("among", [3, 4], seed=7)),
        *(tokens_of(loop, greedy(str(i), [i + 1] * (i + 1))) for i in range(4)),
    )
    outbox = loop.submit(seeded("lost", [3, 4], seed=7))
    first = await outbox.take()
    server.lose()
    rest: list[int] = []
    while (chunk := await outbox.take()).finish is None:
        rest.extend(chunk.ids)
    assert among == alone
    assert [*first.ids, *rest, *chunk.ids] == alone


async def test_a_later_turn_pays_only_for_its_new_tokens(loop, server):
    prompt = [1, 2, 3] * 10
    answer = await tokens_of(loop, greedy("first", prompt, 5))
    turn = greedy("second", [*prompt, *answer, 4, 4], 5)
    before = server.fed
    assert await tokens_of(loop, turn) == continuation([*prompt, *answer, 4, 4], 5)
    assert turn.cached == len(prompt) + len(answer) - 1, "the answer's last token was never fed"
    assert server.fed - before == 3 + 4


async def test_a_shared_prefix_is_computed_once_however_prompts_arrive(loop, server):
    common = list(range(1, 16)) * 2
    sessions = [greedy(str(i), [*common, i + 1], 6) for i in range(4)]
    results = await asyncio.gather(*(tokens_of(loop, session) for session in sessions))
    assert results == [continuation([*common, i + 1], 6) for i in range(4)]
    assert [session.cached for session in sessions] == [0] + [len(common)] * 3
    assert server.fed == len(common) + 4 + 4 * 5


async def test_the_state_of_a_failed_session_is_not_cached(loop, server):
    prompt = [1, 2, 3] * 10
    fails = greedy("fails", prompt, 60)
    outbox = loop.submit(fails)
    await outbox.take()
    server.fail_next = [StepRejectedError("INTERNAL: broken")]
    with pytest.raises(TensorloomError, match="broken"):
        await _until_end(outbox)
    again = greedy("again", [*prompt, 4], 5)
    assert await tokens_of(loop, again) == continuation([*prompt, 4], 5)
    assert again.cached == 0


@pytest.fixture
def drafts_always_pay(monkeypatch):
    monkeypatch.setattr(Speculation, "_pays", lambda *_: True)


@pytest.mark.usefixtures("drafts_always_pay")
async def test_drafts_save_calls_and_change_no_token(server):
    prompt = [1, 2, 3, 4] * 8
    async with running(make_loop(server, draft_tokens=7)) as loop:
        results = await asyncio.gather(
            tokens_of(loop, greedy("a", prompt, 90)), tokens_of(loop, seeded("b", prompt, seed=3))
        )
    async with running(make_loop(PoolServer())) as loop:
        expected = [await tokens_of(loop, greedy("a", prompt, 90))]
        expected.append(await tokens_of(loop, seeded("b", prompt, seed=3)))
    assert results == expected
    tokens = sum(len(ids) for ids in results)
    assert len(server.calls) < tokens / 2, "most tokens came with a draft"
    assert not any(signature == "decode" for signature, _ in server.calls[:4])


@pytest.mark.usefixtures("drafts_always_pay")
async def test_an_end_token_within_a_draft_ends_the_sequence(server):
    expected = continuation([1, 2] * 8, 60)
    eos = expected[40]
    async with running(make_loop(server, draft_tokens=7)) as loop:
        answer = await tokens_of(loop, greedy("a", [1, 2] * 8, 60, eos=frozenset({eos})))
    assert answer == expected[: expected.index(eos)]


async def test_where_blocks_run_out_the_youngest_is_preempted_and_goes_on_later(server):
    sessions = [greedy(str(i), [i + 1] * 20, 90) for i in range(4)]
    async with running(make_loop(server, SCARCE)) as loop:
        preempted, preempt = [], loop.scheduler.preempt
        loop.scheduler.preempt = lambda: [preempted.append(gone) or gone for gone in preempt()]
        results = await asyncio.gather(*(tokens_of(loop, session) for session in sessions))
    assert results == [continuation([i + 1] * 20, 90) for i in range(4)]
    assert preempted
    assert sessions[0] not in preempted, "the oldest was preempted"


async def _until_end(outbox: Outbox) -> None:
    while (await outbox.take()).finish is None:
        pass


async def test_what_can_never_fit_is_refused_with_the_numbers(server):
    async with running(make_loop(server, BlockLayout((2, 1, 0, 0)))) as loop:
        with pytest.raises(RequestError, match="take 3 blocks of state; this server has 2 for one request"):
            loop.submit(greedy("a", [1] * 60, 10))


@pytest.mark.parametrize("event", ["lose", "steal", "die"])
async def test_a_lost_pool_is_claimed_anew_and_no_text_changes(loop, server, event):
    sessions = [asyncio.create_task(tokens_of(loop, greedy(str(i), [i + 1, 2], 40))) for i in range(4)]
    while sum(signature.startswith("decode") for signature, _ in server.calls) < 3:
        await asyncio.sleep(0)
    server.fail_next.append(lost()) if event == "die" else getattr(server, event)()
    assert await asyncio.gather(*sessions) == [continuation([i + 1, 2], 40) for i in range(4)]
    assert sum(signature == "claim" for signature, _ in server.calls) == 2


async def test_a_sequence_cancelled_while_its_call_runs_leaves_its_slot_to_another(loop, server):
    server.gate.clear()
    goes = greedy("goes", [5, 5, 5], 30)
    loop.submit(goes)
    while not server.calls:
        await asyncio.sleep(0)
    loop.cancel(goes)
    assert loop.engine.held == 0
    stays = asyncio.create_task(tokens_of(loop, greedy("stays", [1, 2])))
    server.gate.set()
    assert await stays == continuation([1, 2], 20)


async def test_a_sequence_cancelled_while_slots_are_moved_is_left_out(loop, server):
    """It once ended the loop: the decode call after the move looked for its slot."""
    first, goes = greedy("first", [1], 3), greedy("goes", [2], 60)
    stays = [asyncio.create_task(tokens_of(loop, greedy(f"stays{i}", [3 + i], 60))) for i in range(2)]
    ends = asyncio.create_task(tokens_of(loop, first))
    await asyncio.sleep(0)
    loop.submit(goes)
    working = server.call

    async def call(signature, inputs):
        if signature == "move":
            loop.cancel(goes)
        return await working(signature, inputs)

    server.call = call
    assert await ends == continuation([1], 3)
    assert await asyncio.gather(*stays) == [continuation([3 + i], 60) for i in range(2)]
    assert not goes.live


async def test_calls_that_fail_every_time_end_with_503_and_the_next_request_is_served(loop, server):
    server.fail_next = [lost() for _ in range(MAX_LOSSES)]
    with pytest.raises(ModelServerUnavailable, match="times in a row"):
        await tokens_of(loop, greedy("a", [1, 2]))
    assert await tokens_of(loop, greedy("b", [1, 2])) == continuation([1, 2], 20)


async def test_sequences_that_go_on_after_a_failure_of_others_are_prefilled_again(loop, server):
    """A failed claim once left the others' slots to a pool that did not hold them."""
    stays = asyncio.create_task(tokens_of(loop, greedy("stays", [1, 2], 60)))
    while sum(signature.startswith("decode") for signature, _ in server.calls) < 2:
        await asyncio.sleep(0)
    server.fail_next = [ModelServerUnavailable("no model server answered")]
    joins = asyncio.create_task(tokens_of(loop, greedy("joins", [4], 10)))
    done = await asyncio.gather(stays, joins, return_exceptions=True)
    expected = [continuation([1, 2], 60), continuation([4], 10)]
    assert all(
        result == answer or isinstance(result, TensorloomError)
        for result, answer in zip(done, expected, strict=True)
    )


async def test_an_answer_of_another_shape_fails_its_sequence(loop, server):
    working = server.call

    async def call(signature, inputs):
        outputs = await working(signature, inputs)
        return {} if signature.startswith("prefill") else outputs

    server.call = call
    with pytest.raises(TensorloomError, match="breaks the contract"):
        await tokens_of(loop, greedy("a", [1, 2]))


@settings(max_examples=60)
@given(
    sessions=st.lists(
        st.tuples(st.lists(st.integers(1, 15), min_size=1, max_size=40), st.integers(1, 40)),
        min_size=1,
        max_size=9,
    ),
    layout=st.sampled_from([WHOLE, SCARCE]),
    draft_tokens=st.sampled_from([0, 5]),
    shared=st.integers(0, 40),
    eos=st.integers(1, VOCABULARY) | st.none(),
    troubles=st.lists(
        st.tuples(
            st.integers(1, 12), st.sampled_from(["lose", "steal", "die", "refuse"]) | st.integers(0, 8)
        ),
        max_size=5,
    ),
)
@example(
    # The call after a refused one lost the pool, and a new one was claimed for sequences with state.
    sessions=[([1], 22), ([2], 1), ([1], 1), ([1], 1)],
    layout=WHOLE,
    draft_tokens=0,
    shared=25,
    eos=1,
    troubles=[(1, "lose"), (3, "refuse"), (12, "lose")],
)
@example(
    # A session was cancelled while a prefix was copied for another, and the step looked for its slot.
    sessions=[([1], 4), ([1], 3), ([1], 1), ([1], 1)],
    layout=WHOLE,
    draft_tokens=0,
    shared=19,
    eos=None,
    troubles=[(9, 0)],
)
def test_whatever_happens_to_the_pool_and_whoever_leaves_every_answer_is_right(
    sessions, layout, draft_tokens, shared, eos, troubles
):
    """A number is the session whose client leaves; there are fewer losses than MAX_LOSSES."""
    sessions = [([3] * shared + prompt, count) for prompt, count in sessions]

    async def run() -> dict[int, list[int]]:
        server = PoolServer()
        loop = make_loop(server, layout, draft_tokens)
        running = asyncio.create_task(loop.run())
        ends = frozenset() if eos is None else frozenset({eos})
        sequences = [greedy(str(i), prompt, count, ends) for i, (prompt, count) in enumerate(sessions)]
        tasks = {i: asyncio.create_task(tokens_of(loop, sequence)) for i, sequence in enumerate(sequences)}
        seen = 0
        for after, trouble in troubles:
            seen += after
            while len(server.calls) < seen and not all(task.done() for task in tasks.values()):
                await asyncio.sleep(0)
            if isinstance(trouble, int):
                if trouble in tasks:
                    loop.cancel(sequences[trouble])
                    tasks.pop(trouble).cancel()
            elif trouble == "die":
                server.fail_next = [lost()]
            else:
                getattr(server, trouble)()
        answers = {i: await task for i, task in tasks.items()}
        assert not running.done()
        running.cancel()
        assert loop.engine.held == 0
        return answers

    answers = asyncio.run(run())
    for i, answer in answers.items():
        expected = continuation(*sessions[i])
        assert answer == (expected[: expected.index(eos)] if eos in expected else expected)
