"""The scheduler as a state machine: whatever is submitted, stepped, cancelled or failed, in any order."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from deployments.decoder.budget import StateBudget
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.sequence import Event, Sequence, State
from deployments.errors import Overloaded, RequestError

LIMITS = Limits(max_batch_size=3, max_running=5, max_waiting=4, prefill_token_budget=8)
BUDGET = 60


def scheduler(limits: Limits = LIMITS, budget: int = BUDGET) -> Scheduler:
    return Scheduler(limits, StateBudget(budget), lambda tokens: tokens)


def sequence(name: str, prompt: int, max_tokens: int = 4) -> Sequence:
    return Sequence(id=name, prompt=tuple(range(1, prompt + 1)), max_tokens=max_tokens)


class SchedulerMachine(RuleBasedStateMachine):
    sequences = Bundle("sequences")

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = scheduler()
        self.accepted: list[Sequence] = []
        self.names = 0

    @rule(target=sequences, prompt=st.integers(1, 30), max_tokens=st.integers(1, 10))
    def submit(self, prompt: int, max_tokens: int) -> Sequence:
        self.names += 1
        new = sequence(str(self.names), prompt, max_tokens)
        try:
            self.scheduler.submit(new)
        except Overloaded:
            assert self.scheduler.waiting == LIMITS.max_waiting
            return new
        self.accepted.append(new)
        return new

    @rule(servers=st.integers(1, 4), end=st.booleans())
    def step(self, servers: int, end: bool) -> None:
        batches = self.scheduler.plan(servers)
        rows = [row for batch in batches for row in batch.rows]
        planned = [row.sequence for row in rows]
        assert len(set(map(id, planned))) == len(planned), "a sequence is in two calls"
        decoding = {id(s) for s in self.accepted if s.state is State.DECODING}
        assert decoding <= set(map(id, planned)), "a decoding sequence was left out"
        assert bool(rows) == bool(self.scheduler.live), "work is there and none was planned"
        for batch in batches:
            assert 1 <= len(batch.rows) <= LIMITS.max_batch_size
            if batch.rows[0].sequence.state is State.PREFILLING:
                assert batch.padded_tokens <= LIMITS.prefill_token_budget
        for row in rows:
            if row.sequence.feed(row.count) and row.sequence.append(5 if not end else 0):
                self.scheduler.retire(row.sequence)

    @rule(gone=consumes(sequences), event=st.sampled_from([Event.CANCEL, Event.FAIL]))
    def remove(self, gone: Sequence, event: Event) -> None:
        if gone in self.accepted and gone.live:
            self.scheduler.remove(gone, event)

    @invariant()
    def books_balance(self) -> None:
        self.scheduler.audit()
        assert self.scheduler.running <= LIMITS.max_running
        assert self.scheduler.waiting <= LIMITS.max_waiting
        assert {id(s) for s in self.scheduler.live} == {id(s) for s in self.accepted if s.live}

    @invariant()
    def the_oldest_waiting_is_admitted_first(self) -> None:
        states = [s.state for s in self.accepted if s.live]
        first_waiting = states.index(State.WAITING) if State.WAITING in states else len(states)
        assert all(state is State.WAITING for state in states[first_waiting:])

    def teardown(self) -> None:
        while batches := self.scheduler.plan():
            for row in (row for batch in batches for row in batch.rows):
                if row.sequence.feed(row.count) and row.sequence.append(5):
                    self.scheduler.retire(row.sequence)
        assert self.scheduler.reserved_bytes == 0
        assert not any(s.live for s in self.accepted), "a sequence never came to its end"


TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_a_sequence_that_can_never_fit_is_refused_with_the_numbers():
    with pytest.raises(RequestError, match=r"take 63 bytes.*at most 60"):
        scheduler().submit(sequence("a", prompt=60, max_tokens=4))


def test_a_long_prompt_is_chunked_and_does_not_hold_up_decoding_rows():
    s = scheduler()
    short, long = sequence("short", 2), sequence("long", 20)
    s.submit(short)
    s.submit(long)
    (prompts,) = s.plan()
    assert [(r.sequence.id, r.count) for r in prompts.rows] == [("short", 2), ("long", 4)]
    for row in prompts.rows:
        if row.sequence.feed(row.count):
            row.sequence.append(5)
    decode, prompts = s.plan()
    assert [(r.sequence.id, r.count) for r in decode.rows] == [("short", 1)]
    assert [(r.sequence.id, r.count) for r in prompts.rows] == [("long", 8)]


def test_decoding_rows_are_shared_out_among_model_servers():
    s = scheduler(Limits(max_batch_size=8, max_running=8, max_waiting=8, prefill_token_budget=64), budget=999)
    for i in range(5):
        s.submit(sequence(str(i), 1))
    for row in s.plan()[0].rows:
        row.sequence.feed(1)
        row.sequence.append(5)
    assert sorted(len(b.rows) for b in s.plan(servers=2)) == [2, 3]
    assert [len(b.rows) for b in s.plan(servers=1)] == [5]


def test_with_no_waiting_places_the_next_one_is_refused_at_once():
    s = scheduler(Limits(max_batch_size=1, max_running=1, max_waiting=0, prefill_token_budget=8))
    s.submit(sequence("a", 2))
    with pytest.raises(Overloaded):
        s.submit(sequence("b", 2))
    assert [x.id for x in s.live] == ["a"]
