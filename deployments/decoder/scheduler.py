"""Which sequences take part in the next step, and with how many tokens.

Continuous batching: sequences join and leave between steps. Decoding rows go first and never wait for a
prompt; prompts are prefilled in order of arrival, in chunks under a token budget. Pure: sees neither
tensors, clocks nor the network.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deployments.decoder.budget import StateBudget
from deployments.decoder.sequence import Event, Sequence, State
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


@dataclass(frozen=True)
class Row:
    """One sequence's part in a call: its next `count` pending tokens."""

    sequence: Sequence
    count: int

    @property
    def due(self) -> bool:
        """Nothing is pending after it: a token is to be sampled."""
        return self.count == self.sequence.pending


@dataclass(frozen=True)
class Batch:
    """The rows of one call to a model server."""

    rows: tuple[Row, ...]

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
    def padded_tokens(self) -> int:
        return len(self.rows) * self.width


class Scheduler:
    """Holds the waiting and the running sequences; `plan` is called between steps."""

    def __init__(self, limits: Limits, budget: StateBudget, state_bytes: Callable[[int], int]) -> None:
        self._limits = limits
        self._budget = budget
        self._state_bytes = state_bytes
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def running(self) -> int:
        return len(self._running)

    @property
    def stable(self) -> bool:
        """Nothing waits to join the decoding rows."""
        return not self._waiting and all(s.state is State.DECODING for s in self._running)

    @property
    def reserved_bytes(self) -> int:
        return self._budget.total - self._budget.free

    @property
    def live(self) -> tuple[Sequence, ...]:
        return (*self._running, *self._waiting)

    def submit(self, sequence: Sequence) -> None:
        """Queue a new sequence. RequestError where it can never fit, Overloaded where too many wait."""
        size = self._state_bytes(sequence.capacity)
        if size > self._budget.total:
            raise RequestError(
                f"prompt and max_tokens take {size} bytes of state; "
                f"this server holds at most {self._budget.total}",
                param="max_tokens",
            )
        self._waiting.append(sequence)
        self._admit()
        if len(self._waiting) > self._limits.max_waiting:
            self._waiting.pop()
            raise Overloaded(f"all places are taken and {len(self._waiting)} requests wait already")

    def remove(self, sequence: Sequence, event: Event) -> None:
        """Take a live sequence out by `event` (cancel or fail)."""
        waits = sequence.state is State.WAITING
        sequence.move(event)
        if waits:
            self._waiting.remove(sequence)
        else:
            self.retire(sequence)

    def rewind(self) -> None:
        """No sequence has state any more: all that run are to be prefilled again, answers included."""
        for sequence in self._running:
            sequence.rewind()

    def retire(self, sequence: Sequence) -> None:
        """Free the place of a sequence that has ended."""
        assert not sequence.live
        self._running.remove(sequence)
        self._budget.release(sequence.id)

    def plan(self, servers: int = 1) -> tuple[Batch, ...]:
        """The calls of the next step, which may run at once on `servers` model servers; () when idle."""
        self._admit()
        decoding = [Row(s, 1) for s in self._running if s.state is State.DECODING]
        prefilling = [s for s in self._running if s.state is State.PREFILLING]
        prompts = self._chunks(prefilling)
        return (*self._split(decoding, servers), *((Batch(prompts),) if prompts else ()))

    def audit(self) -> None:
        """Assert that places and bytes are held by exactly the running sequences."""
        self._budget.audit()
        assert self._budget.owners == {s.id for s in self._running}
        assert all(s.running for s in self._running)
        assert all(s.state is State.WAITING for s in self._waiting)

    def _admit(self) -> None:
        while self._waiting and len(self._running) < self._limits.max_running:
            size = self._state_bytes(self._waiting[0].capacity)
            if not self._budget.fits(size):
                return
            sequence = self._waiting.popleft()
            self._budget.reserve(sequence.id, size)
            sequence.move(Event.ADMIT)
            self._running.append(sequence)

    def _split(self, rows: list[Row], servers: int) -> Iterable[Batch]:
        """`rows` in even batches: as many as servers can share, more where one batch would be too large."""
        if not rows:
            return ()
        needed = -(-len(rows) // self._limits.max_batch_size)
        batches = max(needed, min(servers, len(rows)))
        return (Batch(tuple(rows[i::batches])) for i in range(batches))

    def _chunks(self, prefilling: list[Sequence]) -> tuple[Row, ...]:
        """The oldest prompts that fit the token budget together, each with as much as its share allows."""
        rows: list[Row] = []
        width = 0
        for sequence in prefilling[: self._limits.max_batch_size]:
            share = self._limits.prefill_token_budget // (len(rows) + 1)
            if share < max(width, 1):
                break
            count = min(sequence.pending, share)
            rows.append(Row(sequence, count))
            width = max(width, count)
        return tuple(rows)
