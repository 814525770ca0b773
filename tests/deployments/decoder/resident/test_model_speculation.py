"""When a draft model is asked, and for how many tokens. A step takes 20 ms, a token that is verified 1 ms."""

from itertools import pairwise

import pytest

from deployments.decoder.pace import CallCost
from deployments.decoder.resident.model_speculation import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    ROUNDS,
    TRIAL_TOKENS,
    ModelSpeculation,
)
from deployments.decoder.resident.speculation import MAX_CALL_TOKENS, Drafts, Speculation
from deployments.decoder.sampling.token_mask import pack
from deployments.decoder.sequence import TokenSequence
from deployments.messages import SamplingParams
from tests.deployments.decoder.arithmetic import VOCABULARY
from tests.deployments.decoder.sessions import greedy

STEPS_PER_S = 50.0
DRAFTS = Drafts(("a",), ((1, 2, 3, 4),), looked_up=False)


class Drafter:
    """A draft model that has computed all tokens but the last; each drafted one costs `token_s` seconds."""

    def __init__(self, token_s: float) -> None:
        self.token_s = token_s
        self.prompt_token_s = 0.0
        self.max_tokens = 64
        self.is_ready = True
        self.lacking = 1
        self.drafts: dict[str, tuple[int, ...]] | None = {}
        self.asked: list[list[str]] = []

    def ready(self) -> bool:
        return self.is_ready

    def lacks(self, _: TokenSequence) -> int:
        return self.lacking

    def prefill_s(self, tokens: int) -> float:
        return self.token_s + self.prompt_token_s * tokens

    def decode_s(self, steps: int) -> float:
        return self.token_s * steps

    async def draft(self, sequences: list[TokenSequence], _count: int) -> dict[str, tuple[int, ...]] | None:
        self.asked.append([sequence.id for sequence in sequences])
        return self.drafts

    def drop(self, _: TokenSequence) -> None: ...

    def audit(self) -> None: ...


class Planned:
    """A draft model with its speculation, after the calls in which the time of a step is learned."""

    def __init__(self, token_s: float = 0.001, most: int = 15) -> None:
        self.model = Drafter(token_s)
        costs = Speculation(0, CallCost(1 / STEPS_PER_S), CallCost(0.001))
        self.speculation = ModelSpeculation(self.model, most, costs)
        assert [self.plan() for _ in range(FIRST_PAUSE)] == [0] * FIRST_PAUSE

    def plan(self, *sequences: TokenSequence, otherwise: float = STEPS_PER_S) -> int:
        return self.speculation.plan(sequences or (greedy("a", [1]),), otherwise)

    async def draft(self, *drafts: tuple[int, ...] | None) -> None:
        """Has one draft made for each of `drafts`; None: the model cannot."""
        sequences = [greedy(str(i), [1]) for i in range(len(drafts))]
        given = {s.id: draft for s, draft in zip(sequences, drafts, strict=True) if draft is not None}
        self.model.drafts = given or None
        await self.speculation.draft(sequences, 4)

    def verified(self, accepted: int, seconds: float = 0.024) -> None:
        """Has a call verify a draft of 4 tokens."""
        self.speculation.record_call(DRAFTS, accepted, seconds)

    def accept(self, accepted: int, drafted: int = 4) -> None:
        for _ in range(60):
            self.speculation.record(drafted, accepted)


def test_drafts_are_made_where_they_are_expected_to_be_faster():
    assert Planned(token_s=0.001).plan() >= 4
    assert Planned(token_s=0.05).plan() == 0


def test_drafts_that_are_not_accepted_are_not_made():
    planned = Planned()
    planned.accept(0)
    assert planned.plan() == 0


@pytest.mark.parametrize(("accepted", "rate"), [(4, 1.0), (3, 3 / 4), (1, 1 / 2), (0, 0.0)])
def test_the_acceptance_rate_is_that_of_a_token_whose_predecessors_were_accepted(accepted, rate):
    """The fraction of a whole draft was once averaged, which is less: 1 of 4 for a rate of a half."""
    planned = Planned()
    planned.accept(accepted)
    assert planned.speculation.acceptance_rate == pytest.approx(rate, abs=0.01)


def test_the_likelier_tokens_are_accepted_the_more_are_drafted():
    likely, unlikely = Planned(0.002), Planned(0.002)
    likely.accept(4)
    unlikely.accept(1)
    assert likely.plan() == 15
    assert 0 < unlikely.plan() < 5


def test_prompt_lookup_is_preferred_where_it_is_expected_to_be_faster():
    planned = Planned()
    assert planned.plan(otherwise=STEPS_PER_S)
    assert not planned.plan(otherwise=10 * STEPS_PER_S)


async def test_rows_that_cannot_be_drafted_do_not_count_as_faster():
    planned = Planned(token_s=0.006)
    masked = greedy("masked", [1])
    masked.mask = pack(range(VOCABULARY), VOCABULARY)
    edited = TokenSequence("edited", (1,), 20, SamplingParams(frequency_penalty=1.0))
    ends = greedy("ends", [1], max_tokens=1)
    assert planned.plan(*(greedy(str(i), [1]) for i in range(4)))
    assert not planned.plan(greedy("plain", [1]), masked, edited, ends)
    await planned.speculation.draft([greedy("plain", [1]), masked, edited, ends], 4)
    assert planned.model.asked == [["plain"]]


def test_a_long_prompt_is_computed_only_for_an_answer_that_makes_up_for_it():
    planned = Planned()
    planned.model.lacking, planned.model.prompt_token_s = 1000, 0.0001
    # 101 ms for the prompt; the answer takes 20 ms a token, of which drafts save at least a tenth.
    assert planned.plan(greedy("long", [1], max_tokens=60))
    assert not planned.plan(greedy("short", [1], max_tokens=40))


def test_a_call_verifies_no_more_tokens_than_its_logits_have_room_for():
    planned = Planned(token_s=0.0)
    assert planned.plan(*(greedy(str(i), [1]) for i in range(64))) <= MAX_CALL_TOKENS // 64 - 1
    assert planned.plan(*(greedy(str(i), [1]) for i in range(MAX_CALL_TOKENS))) == 0


def test_a_draft_has_no_more_tokens_than_the_model_can_draft_in_one_call():
    planned = Planned(token_s=0.0001)
    assert planned.plan() > 3
    planned.model.max_tokens = 3
    assert planned.plan() == 3


def test_a_model_that_is_not_ready_is_not_asked_and_is_asked_as_soon_as_it_is():
    planned = Planned()
    planned.model.is_ready = False
    assert [planned.plan() for _ in range(200)] == [0] * 200
    planned.model.is_ready = True
    assert planned.plan()


async def test_between_calls_with_drafts_there_is_one_without():
    """Else the time of a step, measured seldom or under another load, would decide for ever."""
    planned = Planned()
    for _ in range(ROUNDS):
        assert planned.plan()
        await planned.draft((1, 2))
    assert planned.plan() == 0
    assert planned.plan()


async def test_drafts_that_do_not_pay_are_tried_again_ever_more_rarely():
    planned = Planned()
    tried = []
    for call in range(4 * LONGEST_PAUSE):
        if planned.plan():
            await planned.draft((1, 2, 3, 4))
            planned.speculation.record(drafted=4, accepted=0)
            planned.verified(0)
            tried.append(call)
    pauses = [gap for a, b in pairwise(tried) if (gap := b - a) > 1]
    assert pauses == sorted(pauses)
    assert pauses[-1] > LONGEST_PAUSE
    assert len(tried) < 0.04 * 4 * LONGEST_PAUSE


async def test_a_model_that_was_too_slow_is_measured_again():
    planned = Planned(token_s=0.05)
    calls = 0
    while not (length := planned.plan()):
        calls += 1
        assert calls <= FIRST_PAUSE + 1
    assert length == TRIAL_TOKENS
    await planned.draft((1, 2))
    assert planned.plan() == 0
    planned.model.token_s = 0.001
    assert any(planned.plan() for _ in range(3 * FIRST_PAUSE))


async def test_after_drafts_that_paid_the_next_attempt_comes_soon():
    """Every pause was once twice as long as the last, so that wrong drafts also ended runs of right ones."""
    planned, pauses = Planned(), []
    for _ in range(6):
        while not planned.plan():
            pass
        for _ in range(20):
            await planned.draft((1, 2, 3, 4))
            planned.verified(4)
        planned.accept(0)
        pauses.append(0)
        while not planned.plan():
            pauses[-1] += 1
    assert max(pauses) <= FIRST_PAUSE + 1


def test_what_verifying_takes_is_learned_from_the_first_such_call():
    """It is guessed from prompts until then, and the first prompts take far longer than all later ones."""
    cold = Speculation(0, CallCost(1 / STEPS_PER_S), CallCost(0.05))
    speculation = ModelSpeculation(Drafter(0.001), 15, cold)
    lengths = [speculation.plan([greedy("a", [1])], STEPS_PER_S) for _ in range(2 * FIRST_PAUSE + 2)]
    assert lengths == [0] * (2 * FIRST_PAUSE + 1) + [TRIAL_TOKENS]
    speculation.record_call(DRAFTS, 4, 0.024)
    assert speculation.plan([greedy("a", [1])], STEPS_PER_S) > TRIAL_TOKENS


async def test_a_model_without_room_is_left_alone_for_a_while():
    planned = Planned()
    assert planned.plan()
    await planned.draft(None)
    assert [bool(planned.plan()) for _ in range(FIRST_PAUSE + 1)] == [False] * FIRST_PAUSE + [True]


async def test_a_model_that_still_computes_prompts_goes_on_with_the_next_call():
    planned = Planned()
    await planned.draft(())
    assert planned.plan()
