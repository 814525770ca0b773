"""Speculation with a draft model: the text stays the same, whatever it drafts and however it fails."""

import asyncio
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.decoder.engine import StepRejectedError
from deployments.decoder.loop import DecodeLoop
from deployments.decoder.resident import draft_model, model_speculation
from deployments.decoder.resident.admission import BlockAdmission
from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.draft_model import DraftModel
from deployments.decoder.resident.engine import ResidentEngine
from deployments.decoder.resident.lease import Lease
from deployments.decoder.resident.model_speculation import ModelSpeculation
from deployments.decoder.resident.slots import SlotTable
from deployments.decoder.resident.speculation import Speculation
from deployments.decoder.sampling.philox import uniforms
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.sequence import TokenSequence
from deployments.messages import SamplingParams
from tests.deployments.decoder.arithmetic import VOCABULARY, continuation
from tests.deployments.decoder.pool_arithmetic import POOL, PoolServer, lost
from tests.deployments.decoder.sessions import greedy, running, tokens_of

SLOTS = 4
LAYOUT = BlockLayout((SLOTS,) * POOL.blocks)
SCARCE = BlockLayout((4, 2, 1, 1))
"""Four sequences of more than 32 tokens do not fit together."""


class DraftServer(PoolServer):
    """The same model, but wrong after every `right` tokens; calls must not overlap."""

    def __init__(self, right: int) -> None:
        super().__init__()
        self.right = right

    async def call(self, signature, inputs):
        assert self.running == 0, "two calls at a time"
        return await super().call(signature, inputs)

    def _next(self, slot, held, inputs, row, step):
        token = super()._next(slot, held, inputs, row, step)
        return token if (held + 1) % (self.right + 1) else (token + 1) % VOCABULARY


class Drafting:
    """A loop with a draft model that is asked for `count` tokens before every step."""

    def __init__(
        self,
        draft: PoolServer,
        draft_layout: BlockLayout = LAYOUT,
        count: int = 5,
        layout: BlockLayout = LAYOUT,
    ) -> None:
        self.server = PoolServer()
        self.draft = draft
        self.model = DraftModel("small", POOL, draft_layout, draft)
        slots, lease = SlotTable(layout, POOL.block_size), Lease(self.server, layout.slots)
        self.engine = ResidentEngine(POOL, slots, lease, 3600, count, self.model)
        limits = Limits(SLOTS, SLOTS, 64, prefill_token_budget=24, one_pass=True, min_shared_prefix=20)
        self.loop = DecodeLoop(Scheduler(limits, BlockAdmission(POOL, layout)), self.engine, 0.1)

    async def opened(self) -> "Drafting":
        """Waits until the draft model can draft."""
        while not self.model.ready():
            await asyncio.sleep(0)
        return self


@pytest.fixture(autouse=True)
def always_ask(monkeypatch) -> None:
    """The draft model alone, and at once: no prompt lookup, no pause, and no time before another attempt."""
    monkeypatch.setattr(Speculation, "_pays", lambda *_: False)
    monkeypatch.setattr(ModelSpeculation, "_tokens_per_s", lambda *arguments: 1e9 * arguments[-1])
    monkeypatch.setattr(model_speculation, "FIRST_PAUSE", 0)
    monkeypatch.setattr(model_speculation, "ROUNDS", 1 << 30)
    monkeypatch.setattr(model_speculation, "CATCH_UP_TOKENS", POOL.positions)
    monkeypatch.setattr(draft_model, "RETRY_S", 0.0)


def seeded(name: str, prompt: list[int], seed: int, max_tokens: int) -> TokenSequence:
    sequence = greedy(name, prompt, max_tokens)
    sequence.sampling = SamplingParams(seed=seed)
    return sequence


def expected(sequence: TokenSequence) -> list[int]:
    """Returns the answer as pool_arithmetic.py defines it, without batches, pools or drafts."""
    tokens = list(sequence.prompt)
    for _ in range(sequence.max_tokens):
        number = uniforms(np.array([sequence.sampling.seed], np.uint64), np.array([len(tokens)], np.uint64))
        added = 0 if sequence.sampling.temperature == 0 else int(number[0] * VOCABULARY)
        tokens.append((sum(tokens) + len(tokens) + added) % VOCABULARY)
    return tokens[len(sequence.prompt) :]


@pytest.mark.parametrize("make", [greedy, lambda *a: seeded(*a[:2], 3, a[2])])
async def test_drafts_of_the_same_model_are_accepted_and_change_no_token(make):
    drafting = await Drafting(PoolServer()).opened()
    sequence = make("a", [1, 2], 60)
    answer = expected(sequence)
    async with running(drafting.loop):
        assert await tokens_of(drafting.loop, sequence) == answer
    assert not any(signature == "decode" for signature, _ in drafting.server.calls[:-1])
    assert len(drafting.server.calls) < 15, "six tokens a call"
    assert len(drafting.model) == 0
    counts = drafting.engine.draft_counts
    assert counts.drafted == counts.accepted > 45


@pytest.mark.parametrize("right", [0, 1, 3])
async def test_wrong_drafts_change_no_token(right):
    drafting = await Drafting(DraftServer(right)).opened()
    sequences = [greedy(str(i), [i + 1, 2], 50) for i in range(SLOTS)]
    async with running(drafting.loop):
        answers = await asyncio.gather(*(tokens_of(drafting.loop, sequence) for sequence in sequences))
    assert answers == [continuation([i + 1, 2], 50) for i in range(SLOTS)]
    counts = drafting.engine.draft_counts
    assert counts.drafted > counts.accepted
    # Of 50 tokens, `right` of every `right + 1` are drafted right, unless a wrong one stays in the pool.
    assert counts.accepted >= SLOTS * 35 * right / (right + 1)


async def test_a_sequence_that_went_another_way_is_computed_anew_from_there():
    drafting = await Drafting(PoolServer()).opened()
    sequence = greedy("a", [1, 2], 60)
    assert await drafting.model.draft([sequence], 5) == {"a": tuple(continuation([1, 2], 5))}
    for generated in ([5, *[9] * 8], [5, 8, 9]):
        sequence.generated = generated
        ids = [1, 2, *generated]
        assert drafting.model.lacks(sequence) == len(generated) - 1
        assert await drafting.model.draft([sequence], 3) == {"a": tuple(continuation(ids, 3))}
    drafting.model.drop(sequence)
    drafting.model.audit()


async def test_an_end_token_among_the_drafted_ones_ends_the_sequence():
    answer = continuation([1, 2], 60)
    eos = max(answer, key=answer.index)
    drafting = await Drafting(PoolServer()).opened()
    async with running(drafting.loop):
        tokens = await tokens_of(drafting.loop, greedy("a", [1, 2], 60, eos=frozenset({eos})))
    assert tokens == answer[: answer.index(eos)]
    assert drafting.engine.draft_counts.accepted


@pytest.mark.parametrize("prompt", range(1, 8))
async def test_a_draft_at_the_end_of_the_context_leaves_room_for_the_token_after_it(prompt):
    """It once had one token too many, so that the call wrote behind the last block."""
    sequence = greedy("a", [1] * prompt, POOL.positions + 1 - prompt)
    drafting = await Drafting(PoolServer()).opened()
    async with running(drafting.loop):
        assert await tokens_of(drafting.loop, sequence) == expected(greedy("b", [1] * prompt, 129 - prompt))


async def test_a_long_prompt_is_computed_in_pieces(monkeypatch):
    monkeypatch.setattr(draft_model, "MAX_CALL_TOKENS", 16)
    drafting = await Drafting(PoolServer()).opened()
    sequences = [greedy("long", [1] * 70, 50), greedy("short", [2], 120)]
    async with running(drafting.loop):
        answers = await asyncio.gather(*(tokens_of(drafting.loop, sequence) for sequence in sequences))
    assert answers == [continuation([1] * 70, 50), continuation([2], 120)]
    assert drafting.engine.draft_counts.accepted > 120, "both were drafted, and the short one meanwhile"


async def test_a_sequence_without_room_in_the_drafts_pool_does_not_end_the_drafts_of_others():
    """Both have room at first, and one when both have more than 64 tokens."""
    drafting = await Drafting(PoolServer(), BlockLayout((2, 2, 1, 1))).opened()
    sequences = [greedy(str(i), [i] * 40, 80) for i in range(2)]
    async with running(drafting.loop):
        answers = await asyncio.gather(*(tokens_of(drafting.loop, sequence) for sequence in sequences))
    assert answers == [continuation([i] * 40, 80) for i in range(2)]
    assert 2 * 60 > drafting.engine.draft_counts.accepted > 75


@pytest.mark.parametrize("failure", ["lose", "steal", "die", "reject"])
async def test_a_draft_model_that_fails_costs_drafts_only(failure, caplog):
    caplog.set_level(logging.INFO)
    drafting = await Drafting(PoolServer()).opened()
    calls, accepted = drafting.draft.calls, 0
    async with running(drafting.loop):
        task = asyncio.create_task(tokens_of(drafting.loop, greedy("a", [1, 2], 120)))
        while drafting.engine.draft_counts.accepted < 10:
            assert not task.done()
            await asyncio.sleep(0)
        if failure in ("lose", "steal"):
            getattr(drafting.draft, failure)()
        else:
            drafting.draft.fail_next = [lost() if failure == "die" else StepRejectedError("INTERNAL: no")]
        seen, accepted = len(calls), drafting.engine.draft_counts.accepted
        assert await task == continuation([1, 2], 120)
    assert [signature for signature, _ in calls[seen:]].count("claim") == 1, "claimed anew"
    assert drafting.engine.draft_counts.accepted > accepted + 10, "drafts are used again"
    said = [record.message for record in caplog.records if "small" in record.message]
    assert [("failed" in message, "again" in message) for message in said] == [(True, False), (False, True)]


async def test_a_draft_model_that_always_fails_is_logged_once_and_delays_no_call(caplog):
    class Broken(PoolServer):
        def _run(self, *_):
            raise StepRejectedError("INTERNAL: broken")

    drafting = Drafting(Broken())
    async with running(drafting.loop):
        assert await tokens_of(drafting.loop, greedy("a", [1, 2], 60)) == continuation([1, 2], 60)
    assert len(drafting.draft.calls) > 1, "tried again"
    assert sum("small" in record.message for record in caplog.records) == 1


async def test_a_draft_model_that_is_being_prepared_delays_no_call():
    drafting = Drafting(PoolServer())
    drafting.draft.gate.clear()
    async with running(drafting.loop):
        assert await tokens_of(drafting.loop, greedy("a", [1, 2], 60)) == continuation([1, 2], 60)
        assert [signature for signature, _ in drafting.draft.calls] == ["claim"]
        drafting.draft.gate.set()
        await drafting.opened()
        assert await tokens_of(drafting.loop, greedy("b", [1, 2], 60)) == continuation([1, 2], 60)
    assert drafting.engine.draft_counts.accepted


async def test_a_draft_model_whose_server_is_gone_is_not_asked():
    draft = PoolServer()
    drafting = Drafting(draft)
    async with running(drafting.loop):
        draft.available = 0
        assert await tokens_of(drafting.loop, greedy("a", [1, 2], 60)) == continuation([1, 2], 60)
        assert not draft.calls
        draft.available = 1
        await drafting.opened()
        assert await tokens_of(drafting.loop, greedy("b", [1, 2], 60)) == continuation([1, 2], 60)
    assert drafting.engine.draft_counts.accepted


SESSION = st.tuples(
    st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=40),
    st.integers(1, 60),
    st.integers(1, 99) | st.none(),
)
"""Prompt, tokens of the answer, and seed; without a seed it is greedy."""
TROUBLE = st.integers(0, 5) | st.sampled_from(
    ["main", "lose draft", "steal draft", "kill draft", "reject draft", "no draft", "draft"]
)


@settings(max_examples=80)
@given(
    sessions=st.lists(SESSION, min_size=1, max_size=6),
    right=st.integers(0, 4),
    count=st.integers(1, 12),
    layouts=st.tuples(
        st.sampled_from([LAYOUT, SCARCE]), st.sampled_from([LAYOUT, BlockLayout((2, 1, 1, 1))])
    ),
    piece=st.sampled_from([8, 512]),
    joined=st.integers(1, 6),
    troubles=st.lists(st.tuples(st.integers(1, 12), TROUBLE), max_size=8),
)
def test_whatever_happens_to_either_pool_and_whoever_joins_or_leaves_every_answer_is_right(
    sessions, right, count, layouts, piece, joined, troubles
):
    """The first `joined` sessions begin together, one more with each trouble.

    A number is the session whose client leaves. "main" loses the pool of the served model.
    """

    async def run() -> None:
        draft = DraftServer(right)
        drafting = await Drafting(draft, layouts[1], count, layouts[0]).opened()
        loop_task = asyncio.create_task(drafting.loop.run())
        sequences = [
            greedy(str(i), prompt, most) if seed is None else seeded(str(i), prompt, seed, most)
            for i, (prompt, most, seed) in enumerate(sessions)
        ]
        answers = {i: expected(sequence) for i, sequence in enumerate(sequences)}
        tasks: dict[int, asyncio.Task[list[int]]] = {}
        waiting = list(enumerate(sequences))

        async def join(number: int) -> None:
            for i, sequence in waiting[:number]:
                tasks[i] = asyncio.create_task(tokens_of(drafting.loop, sequence))
            del waiting[:number]
            await asyncio.sleep(0)  # until they are submitted

        def calls() -> int:
            return len(drafting.server.calls) + len(draft.calls)

        await join(joined)
        seen, lost_main = calls(), 0
        for after, trouble in troubles:
            seen += after
            while calls() < seen and not all(task.done() for task in tasks.values()):
                await asyncio.sleep(0)
            if trouble in ("lose draft", "steal draft"):
                getattr(draft, trouble.split()[0])()
            elif trouble in ("kill draft", "reject draft"):
                draft.fail_next = [lost() if trouble == "kill draft" else StepRejectedError("INTERNAL: no")]
            elif trouble in ("no draft", "draft"):
                draft.available = int(trouble == "draft")
            elif trouble == "main" and lost_main < 3:
                lost_main += 1
                drafting.server.lose()
            elif trouble in tasks:
                drafting.loop.cancel(sequences[trouble])
                tasks.pop(trouble).cancel()
            await join(1)
        await join(len(waiting))
        for i, task in tasks.items():
            assert await task == answers[i]
        assert not loop_task.done()
        loop_task.cancel()
        draft.available = 1
        await drafting.opened()
        assert len(drafting.model) == 0
        drafting.model.audit()
        assert drafting.loop.engine.held == 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draft_model, "MAX_CALL_TOKENS", piece)
        asyncio.run(run())
