"""What calls cost, as it is learned; and a simulation of servers from fast to hopelessly slow."""

import itertools
import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.decoder.explicit.admission import ReservedAdmission
from deployments.decoder.pace import (
    MAX_CROWD,
    MIN_PIECE,
    CallCost,
    ChunkPace,
    PrefillPace,
    chunk_interval_s,
)
from deployments.decoder.scheduler import Batch, Limits, Scheduler
from tests.deployments.decoder.sessions import greedy

INTERVAL_S = 0.1
OUTLIER = 50


def learned(fixed_s: float, unit_s: float, sizes: list[int], outliers: int = 0) -> CallCost:
    cost = CallCost(unit_s=1.0)
    for i, units in enumerate(sizes):
        cost.record(units, (fixed_s + unit_s * units) * (OUTLIER if i < outliers else 1))
    return cost


@given(st.floats(0, 1), st.floats(1e-5, 0.1), st.integers(0, 4))
def test_fixed_and_unit_cost_are_learned_whatever_a_few_calls_took(fixed_s, unit_s, outliers):
    cost = learned(fixed_s, unit_s, [64, 128, 90, 70, 200, 128] * 4, outliers)
    assert cost.unit_s >= 0.01 * (fixed_s / 200 + unit_s)
    assert cost.expected_s(100) == pytest.approx(fixed_s + 100 * unit_s, rel=0.5)
    if not outliers:
        assert cost.expected_s(100) == pytest.approx(fixed_s + 100 * unit_s, rel=0.1)


def test_calls_of_one_size_scale_the_costs_and_keep_their_proportion():
    cost = learned(0.03, 0.001, [64, 128, 90, 70, 200, 128] * 4)
    for slowdown in (1, 2):
        for _ in range(24):
            cost.record(128, slowdown * (0.03 + 0.128))
    assert cost.fixed_s == pytest.approx(0.06, rel=0.05)
    assert cost.unit_s == pytest.approx(0.002, rel=0.05)


def test_before_anything_was_measured_the_first_guess_holds():
    assert CallCost(unit_s=0.05).units_within(0.1) == 2


def test_a_cost_that_fills_the_time_by_itself_leaves_room_for_nothing():
    assert learned(0.2, 0.001, [64, 128, 90, 70] * 6).units_within(0.1) == 0


@pytest.mark.parametrize(("rows", "seconds"), [(1, 0.02), (8, 0.048), (16, 0.096), (17, 0.1), (64, 0.1)])
def test_chunks_are_rarer_the_more_sequences_run(rows, seconds):
    assert chunk_interval_s(INTERVAL_S, rows) == pytest.approx(seconds)


def test_the_limit_holds_for_few_sequences_too():
    assert chunk_interval_s(0.005, 1) == 0.005


def sent(call_s: float, rows: int, calls: int = 100) -> list[float]:
    """Returns when chunks were sent, if calls of `call_s` seconds follow each other."""
    pace = ChunkPace(INTERVAL_S)
    return [now for now in (call_s * i for i in range(calls)) if pace.due(now, rows)]


@given(st.floats(0.001, 0.5), st.integers(1, 64))
def test_tokens_gather_no_longer_than_the_limit_unless_one_call_takes_longer(call_s, rows):
    longest = max(chunk_interval_s(INTERVAL_S, rows), call_s)
    times = sent(call_s, rows)
    assert all(later - earlier <= longest + 1e-6 for earlier, later in itertools.pairwise(times))


def test_chunks_of_short_calls_are_sent_together():
    assert len(sent(0.01, rows=32, calls=101)) == pytest.approx(11, abs=1)


@dataclass
class Server:
    """A model server in simulated time."""

    prefill_fixed_s: float
    prompt_token_s: float
    decode_fixed_s: float
    row_s: float
    pace: PrefillPace = field(default_factory=lambda: PrefillPace(INTERVAL_S, CallCost(INTERVAL_S / 128)))
    now_s: float = 0.0

    def run(self, batch: Batch) -> None:
        prompts, decoded = batch.prompts, batch.decoded
        seconds = self.decode_fixed_s + self.row_s * len(decoded.rows) if decoded.rows else 0.0
        if prompts.rows:
            seconds += self.prefill_fixed_s + self.prompt_token_s * prompts.computed_tokens
            self.pace.record_piece(prompts.computed_tokens, seconds, bool(decoded.rows))
        else:
            self.pace.record_decode(seconds, steps=1)
        self.now_s += seconds

    @property
    def piece_s(self) -> float:
        """How long a piece may take once the costs are known; half longer if it finishes a prompt."""
        decode_s = self.decode_fixed_s + self.row_s * 33
        smallest_s = self.prefill_fixed_s + self.prompt_token_s * MIN_PIECE
        longest_s = max(MAX_CROWD * INTERVAL_S, 2 * self.prefill_fixed_s, decode_s / 3, smallest_s)
        return 1.1 * 1.5 * longest_s


SERVERS = {
    "fast": (0.001, 0.00002, 0.002, 0.00005),
    "measured": (0.03, 0.0004, 0.02, 0.001),
    "slow decode": (0.03, 0.0004, 0.5, 0.02),
    "slow prefill": (0.06, 0.02, 0.02, 0.001),
    "large fixed cost": (0.4, 0.0001, 0.05, 0.001),
    "hopeless": (5.0, 0.5, 5.0, 1.0),
}


@pytest.mark.parametrize("name", SERVERS)
@pytest.mark.parametrize("prompts", [1, 16, 32])
def test_every_prompt_is_done_within_a_bound_of_steps_and_decoding_rows_wait_no_longer_than_theirs(
    name, prompts
):
    server, length, reader = Server(*SERVERS[name]), 300, greedy("reader", [1], max_tokens=100_000)
    limits = Limits(64, 64, 64, prefill_token_budget=512, one_pass=True)
    scheduler = Scheduler(limits, ReservedAdmission(1, lambda _: 0))
    scheduler.submit(reader)
    learn(scheduler, server)
    waiting = [greedy(str(i), [1] * length, max_tokens=50_000) for i in range(prompts)]
    for sequence in waiting:
        scheduler.submit(sequence)
    started_s, steps, gaps = server.now_s, 0, [0.0]
    last_token_s = server.now_s
    while any(not sequence.generated for sequence in waiting):
        steps += 1
        if step(scheduler, server):
            gaps.append(server.now_s - last_token_s)
            last_token_s = server.now_s
    # At least MIN_PIECE tokens a piece, and each piece has decode calls of a quarter of its time after it.
    pieces = prompts * math.ceil(length / MIN_PIECE)
    between = math.ceil(server.piece_s / 4 / (server.decode_fixed_s + server.row_s)) + 1
    assert steps <= pieces * between
    decode_s = server.decode_fixed_s + server.row_s * (prompts + 1)
    assert max(gaps) <= server.piece_s + decode_s
    alone_s = pieces * (server.prefill_fixed_s + MIN_PIECE * server.prompt_token_s)
    assert server.now_s - started_s <= 2 * alone_s + (pieces * 4) * decode_s


def learn(scheduler: Scheduler, server: Server) -> None:
    """Lets the pace see prompts of several lengths; they end at once."""
    for i, length in enumerate([64, 100, 200, 80, 150, 300] * 4):
        sequence = greedy(f"learned from {i}", [1] * length, max_tokens=1)
        scheduler.submit(sequence)
        while sequence.live:
            step(scheduler, server)


def step(scheduler: Scheduler, server: Server) -> bool:
    """Runs one step in simulated time; returns whether decoding rows got a token."""
    for sequence in scheduler.admit():
        sequence.begin(0)
    prefilling = scheduler.prefilling
    batches = scheduler.plan(prefill_tokens=server.pace.tokens(prefilling, scheduler.running - prefilling))
    assert batches
    decodes = bool(batches[0].decoded.rows)
    for batch in batches:
        server.run(batch)
        for row in batch.rows:
            if row.sequence.feed(row.count) and row.sequence.append(1):
                scheduler.retire(row.sequence)
    return decodes
