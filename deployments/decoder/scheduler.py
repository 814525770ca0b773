"""Which sequences take part in the next step, and with how many tokens.

Continuous batching: sequences join and leave between steps. Decoding rows go first and never wait for a
prompt; prompts are prefilled in order of arrival, in chunks under a token budget. Pure: sees neither
tensors, clocks nor the network.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deployments.decoder.admission import Admission
from deployments.decoder.sequence import Event, SequenceState, TokenSequence, common_prefix_length
from deployments.errors import Overloaded, RequestError


@dataclass(frozen=True)
class Limits:
    max_batch_size: int
    """Rows in one call."""
    max_running: int
    """Sequences that hold state."""
    max_waiting: int
    """Sequences that wait for a place."""
    prefill_token_budget: int
    """Prompt tokens in one step, padding included."""
    shared_from: int | None = None
    """A prompt that begins with so many tokens of one that is prefilled just now waits for these; None: no
    state is shared."""


@dataclass(frozen=True)
class BatchRow:
    """One sequence's part in a call: its next `count` pending tokens."""

    sequence: TokenSequence
    count: int

    @property
    def due(self) -> bool:
        """Nothing is pending after it: a token is to be sampled."""
        return self.count == self.sequence.pending


@dataclass(frozen=True)
class Batch:
    """The rows of one call to a model server."""

    rows: tuple[BatchRow, ...]

    @property
    def owners(self) -> list[str]:
        return [row.sequence.id for row in self.rows]

    @property
    def counts(self) -> list[int]:
        return [row.count for row in self.rows]

    @property
    def tokens(self) -> npt.NDArray[np.int32]:
        """(rows, width), right-padded with zeros."""
        tokens = np.zeros((len(self.rows), self.width), np.int32)
        for padded, row in zip(tokens, self.rows, strict=True):
            padded[: row.count] = row.sequence.next_tokens(row.count)
        return tokens

    @property
    def width(self) -> int:
        return max(row.count for row in self.rows)

    @property
    def running(self) -> "Batch":
        """Without the rows whose sequence has ended or was cancelled since the plan."""
        return Batch(tuple(row for row in self.rows if row.sequence.running))

    @property
    def decoding(self) -> bool:
        """Whether its rows are past their prompts; a batch never has both kinds."""
        return all(row.sequence.state is SequenceState.DECODING for row in self.rows)

    @property
    def padded_tokens(self) -> int:
        return len(self.rows) * self.width


class Scheduler:
    """Holds the waiting and the running sequences; `plan` is called between steps."""

    def __init__(self, limits: Limits, room: Admission) -> None:
        self._limits = limits
        self._room = room
        self._waiting: deque[TokenSequence] = deque()
        self._running: list[TokenSequence] = []
        """In order of admission."""
        self._admitted: list[TokenSequence] = []
        """Those that the engine has not been told of."""

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def stable(self) -> bool:
        """Nothing is about to join the decoding rows: what waits has no place before one of them ends."""
        return all(s.state is SequenceState.DECODING for s in self._running)

    @property
    def state_bytes(self) -> int:
        """That the running sequences take."""
        return self._room.used(self._running)

    @property
    def live(self) -> tuple[TokenSequence, ...]:
        return (*self._running, *self._waiting)

    def submit(self, sequence: TokenSequence) -> None:
        """Queue a new sequence. RequestError where it can never fit, Overloaded where too many wait."""
        if not self._room.could_hold(sequence):
            raise RequestError(
                f"prompt and max_tokens take {self._room.needed(sequence)}", param="max_tokens"
            )
        self._waiting.append(sequence)
        self._admit()
        if len(self._waiting) > self._limits.max_waiting:
            self._waiting.pop()
            raise Overloaded(f"all places are taken and {len(self._waiting)} requests wait already")

    def remove(self, sequence: TokenSequence, event: Event) -> None:
        """Take a live sequence out by `event` (cancel or fail)."""
        waits = sequence.state is SequenceState.WAITING
        sequence.move(event)
        if waits:
            self._waiting.remove(sequence)
        else:
            self.retire(sequence)

    def admit(self) -> list[TokenSequence]:
        """The sequences that hold a place since the last call: they need state, and may find some there."""
        self._admit()
        admitted = [sequence for sequence in self._admitted if sequence.running]
        self._admitted.clear()
        return admitted

    def preempt(self) -> list[TokenSequence]:
        """Send the youngest to wait again until the others' next tokens fit; their state is to be dropped."""
        gone = []
        while not self._room.holds(self._running):
            youngest = self._running.pop()
            youngest.move(Event.PREEMPT)
            self._admitted = [sequence for sequence in self._admitted if sequence is not youngest]
            self._waiting.appendleft(youngest)
            gone.append(youngest)
        return gone

    def rewind(self) -> None:
        """No sequence has state any more: all that run are to be prefilled again, answers included."""
        for sequence in self._running:
            sequence.rewind()

    def retire(self, sequence: TokenSequence) -> None:
        """Free the place of a sequence that has ended."""
        assert not sequence.live
        self._running.remove(sequence)

    def plan(self, servers: int = 1, prefill_tokens: int | None = None) -> tuple[Batch, ...]:
        """The calls of the next step, which may run at once on `servers` model servers; () when idle.

        `prefill_tokens` bounds the prompts' part where others decode beside it.
        """
        decoding = [BatchRow(s, 1) for s in self._running if s.state is SequenceState.DECODING]
        prefilling = [s for s in self._running if s.state is SequenceState.PREFILLING]
        most = self._limits.prefill_token_budget
        prompts = self._chunks(prefilling, min(most, prefill_tokens or most) if decoding else most)
        return (*self._split(decoding, servers), *((Batch(prompts),) if prompts else ()))

    def audit(self) -> None:
        """Assert that places are held by running sequences alone, and no more than there are."""
        assert len(self._running) <= self._limits.max_running
        assert all(s.running for s in self._running)
        assert all(s.state is SequenceState.WAITING for s in self._waiting)

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._limits.max_running:
            sequence = self._waiting[0]
            if not self._room.admits(self._running, sequence) or self._follows(sequence):
                return
            self._waiting.popleft()
            sequence.move(Event.ADMIT)
            self._running.append(sequence)
            self._admitted.append(sequence)

    def _follows(self, sequence: TokenSequence) -> bool:
        """Whether its beginning is being computed for another just now."""
        if (least := self._limits.shared_from) is None:
            return False
        head = sequence.prompt[:least]
        return len(head) == least and any(
            leader.computed < least or leader.computed < common_prefix_length(sequence.prompt, leader.prompt)
            for leader in self._running
            if leader.state is SequenceState.PREFILLING and leader.prompt[:least] == head
        )

    def _split(self, rows: list[BatchRow], servers: int) -> Iterable[Batch]:
        """`rows` in even batches: as many as servers can share, more where one batch would be too large."""
        if not rows:
            return ()
        needed = -(-len(rows) // self._limits.max_batch_size)
        batches = max(needed, min(servers, len(rows)))
        return (Batch(tuple(rows[i::batches])) for i in range(batches))

    def _chunks(self, prefilling: list[TokenSequence], budget: int) -> tuple[BatchRow, ...]:
        """The oldest prompts that fit `budget` tokens together, each with as much as its share allows."""
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
