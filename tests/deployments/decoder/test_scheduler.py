"""The scheduler as a state machine: sequences are submitted, stepped, cancelled and failed in any order."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from contract.manifest import Pool
from deployments.decoder.explicit.admission import ReservedAdmission
from deployments.decoder.resident.admission import BlockAdmission
from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.scheduler import Limits, Scheduler
from deployments.decoder.sequence import Event, SequenceState, TokenSequence
from deployments.errors import Overloaded, RequestError

LIMITS = Limits(max_batch_size=3, max_running=5, max_waiting=4, prefill_token_budget=8)
BUDGET = 60


def scheduler(limits: Limits = LIMITS, budget: int = BUDGET) -> Scheduler:
    return Scheduler(limits, ReservedAdmission(budget, lambda tokens: tokens))


def sequence(name: str, prompt: int, max_tokens: int = 4) -> TokenSequence:
    return TokenSequence(id=name, prompt=tuple(range(1, prompt + 1)), max_tokens=max_tokens)


class SchedulerMachine(RuleBasedStateMachine):
    sequences = Bundle("sequences")

    def __init__(self) -> None:
        super().__init__()
        self.scheduler = self.make()
        self.accepted: list[TokenSequence] = []
        self.preempted: list[TokenSequence] = []
        self.names = 0

    def make(self) -> Scheduler:
        return scheduler()

    def preempt(self) -> None:
        assert not self.scheduler.preempt()

    @rule(target=sequences, prompt=st.integers(1, 30), max_tokens=st.integers(1, 10))
    def submit(self, prompt: int, max_tokens: int) -> TokenSequence:
        self.names += 1
        new = sequence(str(self.names), prompt, max_tokens)
        try:
            self.scheduler.submit(new)
        except Overloaded:
            assert self.scheduler.waiting >= LIMITS.max_waiting
            return new
        self.accepted.append(new)
        return new

    @rule(servers=st.integers(1, 4), end=st.booleans())
    def step(self, servers: int, end: bool) -> None:
        self.preempt()
        for sequence in self.scheduler.admit():
            sequence.begin(0)
        batches = self.scheduler.plan(servers)
        rows = [row for batch in batches for row in batch.rows]
        planned = [row.sequence for row in rows]
        assert len(set(map(id, planned))) == len(planned), "a sequence is in two calls"
        decoding = {id(s) for s in self.accepted if s.state is SequenceState.DECODING}
        assert decoding <= set(map(id, planned)), "a decoding sequence was left out"
        assert bool(rows) == bool(self.scheduler.live), "there is work, but no call was planned"
        for batch in batches:
            assert 1 <= len(batch.rows) <= LIMITS.max_batch_size
            if batch.rows[0].sequence.state is SequenceState.PREFILLING:
                assert len(batch.rows) * batch.width <= LIMITS.prefill_token_budget
        for row in rows:
            if row.sequence.feed(row.count) and row.sequence.append(5 if not end else 0):
                self.scheduler.retire(row.sequence)

    @rule(gone=consumes(sequences), event=st.sampled_from([Event.CANCEL, Event.FAIL]))
    def remove(self, gone: TokenSequence, event: Event) -> None:
        if gone in self.accepted and gone.live:
            self.scheduler.remove(gone, event)

    @invariant()
    def books_balance(self) -> None:
        self.scheduler.audit()
        assert self.scheduler.running <= LIMITS.max_running
        returned = sum(s.state is SequenceState.WAITING for s in self.preempted)
        assert self.scheduler.waiting <= LIMITS.max_waiting + returned
        assert {id(s) for s in self.scheduler.live} == {id(s) for s in self.accepted if s.live}

    @invariant()
    def the_oldest_waiting_is_admitted_first(self) -> None:
        states = [s.state for s in self.accepted if s.live and s not in self.preempted]
        first_waiting = (
            states.index(SequenceState.WAITING) if SequenceState.WAITING in states else len(states)
        )
        assert all(state is SequenceState.WAITING for state in states[first_waiting:])

    def teardown(self) -> None:
        while self.scheduler.live:
            self.preempt()
            for sequence in self.scheduler.admit():
                sequence.begin(0)
            for row in (row for batch in self.scheduler.plan() for row in batch.rows):
                if row.sequence.feed(row.count) and row.sequence.append(5):
                    self.scheduler.retire(row.sequence)
        assert self.scheduler.state_bytes == 0
        assert not any(s.live for s in self.accepted), "a sequence never ended"


class ScarceMachine(SchedulerMachine):
    """The same with too few blocks: the youngest sequences are preempted, and none is ever lost."""

    pool = Pool(bytes_per_block=1, block_size=4, blocks=10, max_steps=1)
    layout = BlockLayout((4, 3, 2, 2, 1, 1, 1, 1, 1, 1))

    def make(self) -> Scheduler:
        return Scheduler(LIMITS, BlockAdmission(self.pool, self.layout))

    def preempt(self) -> None:
        running = [s for s in self.accepted if s.running]
        for gone in self.scheduler.preempt():
            assert gone.state is SequenceState.WAITING
            if gone not in self.preempted:
                self.preempted.append(gone)
            assert len(running) > 1, "the only running sequence was preempted"
        needs = [self.pool.blocks_for(s.length) for s in self.accepted if s.running]
        assert self.layout.fits(needs), "the next step does not fit"


TestScarce = ScarceMachine.TestCase
TestScarce.settings = settings(max_examples=60, stateful_step_count=40)
TestScheduler = SchedulerMachine.TestCase
TestScheduler.settings = settings(max_examples=60, stateful_step_count=40)


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


def test_a_prompt_waits_for_a_shared_prefix_that_another_is_prefilling():
    s = scheduler(Limits(4, 4, 4, prefill_token_budget=6, min_shared_prefix=4), budget=999)
    leader, follower = sequence("leader", 12), sequence("follower", 12)
    other = TokenSequence(id="other", prompt=(9, 9, 9, 9, 9), max_tokens=4)
    for each in (leader, follower, other):
        s.submit(each)
    assert [x.id for x in s.admit()] == ["leader"]
    for _ in range(2):
        (prompts,) = s.plan()
        assert [row.sequence.id for row in prompts.rows] == ["leader"]
        assert s.admit() == []
        leader.feed(prompts.rows[0].count)
    assert leader.computed == 12
    assert [x.id for x in s.admit()] == ["follower", "other"]


def test_prompts_hold_up_decoding_rows_no_longer_than_they_may():
    s = scheduler(Limits(4, 4, 4, prefill_token_budget=16), budget=999)
    s.submit(sequence("short", 2))
    (prompts,) = s.plan(prefill_tokens=1)
    assert prompts.rows[0].count == 2, "nothing else decodes"
    prompts.rows[0].sequence.feed(2)
    prompts.rows[0].sequence.append(5)
    s.submit(sequence("long", 20))
    _, prompts = s.plan(prefill_tokens=3)
    assert [(row.sequence.id, row.count) for row in prompts.rows] == [("long", 3)]


def test_the_youngest_is_preempted_and_is_first_in_the_waiting_queue():
    admission = BlockAdmission(
        Pool(bytes_per_block=1, block_size=4, blocks=3, max_steps=1), BlockLayout((2, 2, 1))
    )
    s = Scheduler(Limits(4, 4, 4, prefill_token_budget=64), admission)
    old, young, last = (sequence(name, 4, max_tokens=8) for name in ("old", "young", "last"))
    for each in (old, young, last):
        s.submit(each)
    assert [x.id for x in s.admit()] == ["old", "young"]
    for _ in range(5):
        assert s.preempt() == []
        for row in (row for batch in s.plan() for row in batch.rows):
            row.sequence.feed(row.count)
            row.sequence.append(5)
    assert [x.id for x in s.preempt()] == ["young"]
    assert [x.id for x in s.live] == ["old", "young", "last"]
    assert young.state is SequenceState.WAITING
