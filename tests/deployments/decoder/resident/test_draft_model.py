"""Speculation with a draft model: the text stays the same, whatever it guesses and however it fails."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.decoder.engine import StepRejectedError
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.pace import CallCost
from deployments.decoder.resident.admission import BlockAdmission
from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.draft_model import DraftModel
from deployments.decoder.resident.engine import ResidentEngine
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.model_speculation import OPTIMISTIC_RATE, PAUSE_STEPS, ModelSpeculation
from deployments.decoder.resident.slots import SlotTable
from deployments.decoder.resident.speculation import MAX_CALL_TOKENS, Speculation
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.messages import SamplingParams
from tests.deployments.decoder.arithmetic import VOCABULARY, continuation
from tests.deployments.decoder.pool_arithmetic import POOL, PoolServer, lost
from tests.deployments.decoder.sessions import greedy, running, tokens_of

SLOTS = 4
LAYOUT = BlockLayout((SLOTS,) * POOL.blocks)


class DraftServer(PoolServer):
    """The same model, but wrong after every `right` tokens."""

    def __init__(self, right: int) -> None:
        super().__init__()
        self.right = right

    def _next(self, slot, held, inputs, row, step):
        token = super()._next(slot, held, inputs, row, step)
        return token if (held + 1) % (self.right + 1) else (token + 1) % VOCABULARY


class Drafting:
    """A loop with a draft model that is asked for `count` tokens before every step."""

    def __init__(self, draft: PoolServer, layout: BlockLayout = LAYOUT, count: int = 5) -> None:
        self.server = PoolServer()
        self.model = DraftModel(POOL, layout, draft)
        slots, lease = SlotTable(LAYOUT, POOL.block_size), Lease(self.server, LAYOUT.slots)
        # No prompt lookup: it finds nothing in these sequences while they are short.
        self.engine = ResidentEngine(POOL, slots, lease, 3600, count, self.model)
        limits = Limits(SLOTS, SLOTS, 64, prefill_token_budget=24, one_pass=True, min_shared_prefix=20)
        self.loop = DecodeLoop(Scheduler(limits, BlockAdmission(POOL, LAYOUT)), self.engine, 0.1)


@pytest.fixture(autouse=True)
def always_ask(monkeypatch) -> None:
    monkeypatch.setattr(Speculation, "_pays", lambda *_: False)
    monkeypatch.setattr(ModelSpeculation, "_tokens_per_s", lambda *arguments: arguments[-1])


def seeded(name: str, prompt: list[int], seed: int, max_tokens: int):
    sequence = greedy(name, prompt, max_tokens)
    sequence.sampling = SamplingParams(seed=seed)
    return sequence


async def test_right_guesses_save_calls_and_change_no_token():
    drafting = Drafting(PoolServer())
    async with running(drafting.loop):
        assert await tokens_of(drafting.loop, greedy("a", [1, 2], 60)) == continuation([1, 2], 60)
    assert not any(signature == "decode" for signature, _ in drafting.server.calls)
    assert len(drafting.server.calls) < 15, "six tokens a call"
    assert len(drafting.model) == 0


async def test_sampled_requests_have_guesses_of_the_same_random_numbers():
    drafting = Drafting(PoolServer())
    plain = PoolServer()
    engine = ResidentEngine(
        POOL, SlotTable(LAYOUT, POOL.block_size), Lease(plain, LAYOUT.slots), interval_s=3600
    )
    limits = Limits(SLOTS, SLOTS, 64, prefill_token_budget=24, one_pass=True)
    alone = DecodeLoop(Scheduler(limits, BlockAdmission(POOL, LAYOUT)), engine, 0.1)
    async with running(drafting.loop), running(alone):
        expected = await tokens_of(alone, seeded("a", [5, 6], 3, 60))
        assert await tokens_of(drafting.loop, seeded("a", [5, 6], 3, 60)) == expected
    assert not any(signature == "decode" for signature, _ in drafting.server.calls)
    assert len(drafting.server.calls) < 15, "six tokens a call"


@pytest.mark.parametrize("right", [0, 1, 3])
async def test_wrong_guesses_change_no_token(right):
    draft = DraftServer(right)
    drafting = Drafting(draft)
    async with running(drafting.loop):
        answers = await asyncio.gather(
            *(tokens_of(drafting.loop, greedy(str(i), [i + 1, 2], 50)) for i in range(SLOTS))
        )
    assert answers == [continuation([i + 1, 2], 50) for i in range(SLOTS)]
    assert draft.calls


async def test_an_end_token_among_the_guesses_ends_the_sequence():
    expected = continuation([1, 2], 60)
    eos = max(expected, key=expected.index)
    drafting = Drafting(PoolServer())
    async with running(drafting.loop):
        answer = await tokens_of(drafting.loop, greedy("a", [1, 2], 60, eos=frozenset({eos})))
    assert answer == expected[: expected.index(eos)]


async def test_sequences_without_room_in_the_drafts_pool_go_on_without_guesses():
    drafting = Drafting(PoolServer(), BlockLayout((1, 1, 1, 1)))
    async with running(drafting.loop):
        answers = await asyncio.gather(
            *(tokens_of(drafting.loop, greedy(str(i), [i + 1, 2], 90)) for i in range(SLOTS))
        )
    assert answers == [continuation([i + 1, 2], 90) for i in range(SLOTS)]


@pytest.mark.parametrize("failure", ["lose", "steal", "die", "reject"])
async def test_a_draft_model_that_fails_costs_guesses_only(failure, monkeypatch):
    monkeypatch.setattr("deployments.decoder.resident.model_speculation.PAUSE_STEPS", 1)
    draft = PoolServer()
    drafting = Drafting(draft)
    async with running(drafting.loop):
        task = asyncio.create_task(tokens_of(drafting.loop, greedy("a", [1, 2], 90)))
        while len(draft.calls) < 4:
            await asyncio.sleep(0)
        if failure in ("lose", "steal"):
            getattr(draft, failure)()
        else:
            draft.fail_next = [lost() if failure == "die" else StepRejectedError("INTERNAL: no")]
        calls = len(draft.calls)
        assert await task == continuation([1, 2], 90)
    assert [signature for signature, _ in draft.calls[calls:]].count("claim") == 1, "claimed anew"
    assert len(drafting.model) == 0


async def test_a_draft_model_whose_server_is_gone_is_not_asked():
    draft = PoolServer()
    drafting = Drafting(draft)
    async with running(drafting.loop):
        draft.available = 0
        assert await tokens_of(drafting.loop, greedy("a", [1, 2], 60)) == continuation([1, 2], 60)
        assert not draft.calls
        draft.available = 1
        assert await tokens_of(drafting.loop, greedy("b", [1, 2], 60)) == continuation([1, 2], 60)
    assert draft.calls


@settings(max_examples=60)
@given(
    sessions=st.lists(
        st.tuples(st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=40), st.integers(1, 40)),
        min_size=1,
        max_size=6,
    ),
    right=st.integers(0, 4),
    count=st.integers(1, 7),
    layout=st.sampled_from([LAYOUT, BlockLayout((2, 1, 1, 1))]),
    troubles=st.lists(st.tuples(st.integers(1, 8), st.sampled_from(["main", "draft"]) | st.integers(0, 5))),
)
def test_whatever_happens_to_either_pool_and_whoever_leaves_every_answer_is_right(
    sessions, right, count, layout, troubles
):
    """A number is the session whose client leaves; "main" and "draft" lose that pool."""

    async def run() -> dict[int, list[int]]:
        draft = DraftServer(right)
        drafting = Drafting(draft, layout, count)
        loop_task = asyncio.create_task(drafting.loop.run())
        sequences = [greedy(str(i), prompt, most) for i, (prompt, most) in enumerate(sessions)]
        tasks = {i: asyncio.create_task(tokens_of(drafting.loop, s)) for i, s in enumerate(sequences)}
        seen = lost_main = 0
        for after, trouble in troubles:
            seen += after
            while len(drafting.server.calls) < seen and not all(task.done() for task in tasks.values()):
                await asyncio.sleep(0)
            if trouble == "draft":
                draft.lose()
            elif trouble == "main" and lost_main < 3:
                lost_main += 1
                drafting.server.lose()
            elif trouble in tasks:
                drafting.loop.cancel(sequences[trouble])
                tasks.pop(trouble).cancel()
        answers = {i: await task for i, task in tasks.items()}
        loop_task.cancel()
        assert len(drafting.model) == 0
        drafting.model.audit()
        return answers

    for i, answer in asyncio.run(run()).items():
        assert answer == continuation(*sessions[i])


class Guesser:
    """Drafts cost `s_per_token` seconds a token and row; nothing is ever guessed."""

    available = True

    def __init__(self, s_per_token: float) -> None:
        self.s_per_token = s_per_token

    def expected_s(self, rows: int, count: int) -> float:
        return self.s_per_token * rows * count

    async def draft(self, *_):
        return {}

    def drop(self, *_) -> None: ...

    def audit(self) -> None: ...


@pytest.fixture
def decides(monkeypatch) -> None:
    monkeypatch.undo()


def speculation(s_per_guess: float, most: int = 15) -> ModelSpeculation:
    """A step takes 20 ms, and a token that is verified 1 ms more."""
    return ModelSpeculation(Guesser(s_per_guess), most, Speculation(0, CallCost(0.02), CallCost(0.001)))


@pytest.mark.usefixtures("decides")
def test_drafts_are_made_where_they_are_expected_to_be_faster():
    cheap, dear = speculation(0.001), speculation(0.05)
    assert cheap.count(1) >= 4
    assert dear.count(1) == 0
    for _ in range(60):
        cheap.record(drafted=4, accepted=0)
    assert cheap.count(1) == 0, "nothing is accepted"


@pytest.mark.usefixtures("decides")
def test_the_likelier_guesses_are_accepted_the_more_are_made():
    likely, unlikely = speculation(0.002), speculation(0.002)
    for _ in range(60):
        likely.record(drafted=4, accepted=4)
        unlikely.record(drafted=4, accepted=1)
    assert likely.count(1) == 15
    assert 0 < unlikely.count(1) < 5


@pytest.mark.usefixtures("decides")
def test_drafts_that_did_not_pay_are_tried_again_later():
    tried = speculation(0.001)
    for _ in range(60):
        tried.record(drafted=4, accepted=0)
    assert any(tried.count(1) for _ in range(1000))
    assert tried.acceptance_rate < OPTIMISTIC_RATE


@pytest.mark.usefixtures("decides")
def test_a_call_verifies_no_more_tokens_than_its_logits_have_room_for():
    assert speculation(0.0).count(64) <= MAX_CALL_TOKENS // 64 - 1
    assert speculation(0.0).count(MAX_CALL_TOKENS) == 0


@pytest.mark.usefixtures("decides")
async def test_a_draft_model_without_guesses_is_left_alone_for_a_while():
    asked = speculation(0.001)
    assert asked.count(1)
    assert await asked.draft([greedy("a", [1])], 4) is None
    assert [bool(asked.count(1)) for _ in range(PAUSE_STEPS + 1)] == [False] * PAUSE_STEPS + [True]
