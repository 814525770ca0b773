"""The scheduler: chooses the sequences of the next step, and how many tokens of each are computed.

Continuous batching: sequences join and leave between steps. Every decoding sequence takes part in every step.
Prompts are prefilled in order of arrival, in chunks under a token budget. Pure: no I/O and no clocks.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deployments.decoder.admission import Admission
from deployments.decoder.sequence import Event, SequenceState, TokenSequence, common_prefix_length
from deployments.errors import Overloaded, RequestError

MAX_PADDED_TOKENS = 2048
"""Prompt tokens of a call, padding included, if padding is computed in attention alone."""


@dataclass(frozen=True)
class Limits:
    """How much the scheduler may run and queue."""

    max_batch_size: int
    """Batch rows in one call."""
    max_running: int
    """Sequences that hold state."""
    max_waiting: int
    """Sequences that wait for admission."""
    prefill_token_budget: int
    """Prompt tokens in one step; without `one_pass`, padding included."""
    one_pass: bool = False
    """Whether one call takes prompts of any lengths without computing their padding, and decodes other rows
    beside them."""
    min_shared_prefix: int | None = None
    """A prompt waits while another that shares at least this many first tokens is being prefilled, so that it
    can start from the prefix cache. None: there is no prefix cache."""


@dataclass(frozen=True)
class BatchRow:
    """The part of one sequence in a call: its next `count` pending tokens are computed."""

    sequence: TokenSequence
    count: int

    @property
    def decodes(self) -> bool:
        """Whether the row is a decode step; else it is a piece of a prompt."""
        return self.sequence.state is SequenceState.DECODING

    @property
    def samples(self) -> bool:
        """Whether a token is sampled: no token is pending after the call."""
        return self.count == self.sequence.pending


@dataclass(frozen=True)
class Batch:
    """The rows of one call to a model server."""

    rows: tuple[BatchRow, ...]

    @property
    def sequences(self) -> list[TokenSequence]:
        """The sequence of each row."""
        return [row.sequence for row in self.rows]

    @property
    def sequence_ids(self) -> list[str]:
        """The id of each row's sequence."""
        return [row.sequence.id for row in self.rows]

    @property
    def counts(self) -> list[int]:
        """How many tokens of each row are computed."""
        return [row.count for row in self.rows]

    @property
    def tokens(self) -> npt.NDArray[np.int32]:
        """The token ids to compute, int32 (rows, width), right-padded with zeros."""
        tokens = np.zeros((len(self.rows), self.width), np.int32)
        for padded, row in zip(tokens, self.rows, strict=True):
            padded[: row.count] = row.sequence.next_tokens(row.count)
        return tokens

    @property
    def width(self) -> int:
        """Tokens of the longest row."""
        return max(row.count for row in self.rows)

    @property
    def running(self) -> "Batch":
        """This batch without the rows whose sequence has ended since it was planned."""
        return Batch(tuple(row for row in self.rows if row.sequence.running))

    @property
    def decoding(self) -> bool:
        """Whether all rows decode."""
        return all(row.decodes for row in self.rows)

    @property
    def decoded(self) -> "Batch":
        """The rows that decode."""
        return Batch(tuple(row for row in self.rows if row.decodes))

    @property
    def prompts(self) -> "Batch":
        """The rows that are prefilled."""
        return Batch(tuple(row for row in self.rows if not row.decodes))

    @property
    def computed_tokens(self) -> int:
        """Tokens of the call without padding."""
        return sum(self.counts)


class Scheduler:
    """The waiting queue and the running sequences. `plan` must be called between steps only."""

    def __init__(self, limits: Limits, admission: Admission) -> None:
        self._limits = limits
        self._admission = admission
        self._waiting: deque[TokenSequence] = deque()
        self._running: list[TokenSequence] = []
        """In order of admission."""
        self._admitted: list[TokenSequence] = []
        """Admitted since the last call of `admit`."""

    @property
    def waiting(self) -> int:
        """Sequences in the waiting queue."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Sequences that hold a place."""
        return len(self._running)

    @property
    def prefilling(self) -> int:
        """Running sequences whose prompt is being prefilled."""
        return sum(s.state is SequenceState.PREFILLING for s in self._running)

    @property
    def stable(self) -> bool:
        """Whether all running sequences decode, so that none joins before one of them ends."""
        return not self.prefilling

    @property
    def state_bytes(self) -> int:
        """Bytes of state of the running sequences, occupied or reserved."""
        return self._admission.used_bytes(self._running)

    @property
    def live(self) -> tuple[TokenSequence, ...]:
        """The running sequences in order of admission, then the waiting ones in theirs."""
        return (*self._running, *self._waiting)

    def submit(self, sequence: TokenSequence) -> None:
        """Queues a new sequence; raises RequestError if it can never fit, Overloaded if too many wait."""
        if not self._admission.fits_alone(sequence):
            raise RequestError(
                f"prompt and max_tokens take {self._admission.describe_need(sequence)}", param="max_tokens"
            )
        self._waiting.append(sequence)
        self._admit()
        if len(self._waiting) > self._limits.max_waiting:
            self._waiting.pop()
            raise Overloaded(f"all places are taken, and {len(self._waiting)} requests wait already")

    def remove(self, sequence: TokenSequence, event: Event) -> None:
        """Ends a live sequence by `event`, CANCEL or FAIL, and frees its place."""
        waiting = sequence.state is SequenceState.WAITING
        sequence.move(event)
        if waiting:
            self._waiting.remove(sequence)
        else:
            self.retire(sequence)

    def admit(self) -> list[TokenSequence]:
        """Admits what fits; returns all that were admitted since the last call, for the engine to place."""
        self._admit()
        admitted = [sequence for sequence in self._admitted if sequence.running]
        self._admitted.clear()
        return admitted

    def preempt(self) -> list[TokenSequence]:
        """Preempts the youngest sequences until the next tokens of the others fit.

        Returns the preempted ones, whose state the caller must drop. They are first in the waiting queue.
        """
        preempted = []
        while not self._admission.can_step(self._running):
            youngest = self._running.pop()
            youngest.move(Event.PREEMPT)
            self._admitted = [sequence for sequence in self._admitted if sequence is not youngest]
            self._waiting.appendleft(youngest)
            preempted.append(youngest)
        return preempted

    def rewind(self) -> None:
        """Has all running sequences prefilled again, their answers included, because their state is lost."""
        for sequence in self._running:
            sequence.rewind()

    def retire(self, sequence: TokenSequence) -> None:
        """Frees the place of a sequence that has ended."""
        assert not sequence.live
        self._running.remove(sequence)

    def plan(self, servers: int = 1, prefill_tokens: int | None = None) -> tuple[Batch, ...]:
        """Plans the calls of the next step, which may run in parallel on `servers` model servers.

        Returns () if there is no work. With `Limits.one_pass`, decoding rows and prompts share one call; else
        each call has rows of one kind. `prefill_tokens` limits the prompt tokens of a step in which other
        sequences decode; None: no such limit.
        """
        decoding = [BatchRow(s, 1) for s in self._running if s.state is SequenceState.DECODING]
        prefilling = [s for s in self._running if s.state is SequenceState.PREFILLING]
        budget = self._limits.prefill_token_budget
        if decoding and prefill_tokens is not None:
            budget = min(budget, prefill_tokens)
        if not self._limits.one_pass:
            prompts = self._chunks(prefilling, budget)
        elif prompts := self._pieces(prefilling, budget):
            return (Batch((*decoding, *prompts)),)
        return (*self._split(decoding, servers), *((Batch(prompts),) if prompts else ()))

    def audit(self) -> None:
        """Asserts that only running sequences hold places, and no more than there are."""
        assert len(self._running) <= self._limits.max_running
        assert all(s.running for s in self._running)
        assert all(s.state is SequenceState.WAITING for s in self._waiting)

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._limits.max_running:
            sequence = self._waiting[0]
            if not self._admission.can_admit(self._running, sequence) or self._waits_for_prefix(sequence):
                return
            self._waiting.popleft()
            sequence.move(Event.ADMIT)
            self._running.append(sequence)
            self._admitted.append(sequence)

    def _waits_for_prefix(self, sequence: TokenSequence) -> bool:
        """Whether a running sequence is prefilling tokens with which the prompt of `sequence` begins."""
        if (shortest := self._limits.min_shared_prefix) is None:
            return False
        head = sequence.prompt[:shortest]
        return len(head) == shortest and any(
            leader.computed < shortest
            or leader.computed < common_prefix_length(sequence.prompt, leader.prompt)
            for leader in self._running
            if leader.state is SequenceState.PREFILLING and leader.prompt[:shortest] == head
        )

    def _split(self, rows: list[BatchRow], servers: int) -> Iterable[Batch]:
        """`rows` in batches of even size: one for each server, more if a batch would be too large."""
        if not rows:
            return ()
        needed = -(-len(rows) // self._limits.max_batch_size)
        batches = max(needed, min(servers, len(rows)))
        return (Batch(tuple(rows[i::batches])) for i in range(batches))

    def _pieces(self, prefilling: list[TokenSequence], budget: int) -> tuple[BatchRow, ...]:
        """The next `budget` tokens of the oldest prompts; up to half more to finish the oldest one."""
        rows: list[BatchRow] = []
        width = 0
        for sequence in prefilling[: self._limits.max_batch_size]:
            most = budget if rows else min(budget + budget // 2, self._limits.prefill_token_budget)
            count = sequence.pending if sequence.pending <= most else budget
            width = max(width, count)
            # Attention still pads; so short prompts beside a long one are few.
            if not count or (rows and (len(rows) + 1) * width > MAX_PADDED_TOKENS):
                break
            rows.append(BatchRow(sequence, count))
            budget = max(0, budget - count)
        return tuple(rows)

    def _chunks(self, prefilling: list[TokenSequence], budget: int) -> tuple[BatchRow, ...]:
        """A chunk of each of the oldest prompts: as many as fit into `budget` tokens, padding included."""
        rows: list[BatchRow] = []
        width = 0
        for sequence in prefilling[: self._limits.max_batch_size]:
            share = budget // (len(rows) + 1)
            if share < max(width, 1):
                break
            count = min(sequence.pending, share)
            rows.append(BatchRow(sequence, count))
            width = max(width, count)
        return tuple(rows)
