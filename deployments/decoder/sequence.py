"""One sequence of the decode loop: its tokens and its state. Pure.

All states and legal moves are one table, `_MOVES`; any other move raises IllegalMoveError:

           +----- PREEMPT -----+-------- PREEMPT ---------+
           v                   |                          |
        WAITING --ADMIT--> PREFILLING --PROMPT_DONE--> DECODING --FINISH--> FINISHED
                             |  ^  ^                      |
                             +--+  +------ REWIND --------+
                            REWIND

    WAITING, PREFILLING or DECODING:  FAIL -> FAILED,  CANCEL -> CANCELLED

After PREEMPT as after REWIND a sequence is prefilled again with all its token ids, those of the answer
included; these are never lost. The two differ in the cause, and in who keeps a place:

- PREEMPT: memory is short. No block is left for the next token of every running sequence, so the youngest
  one gives its place and its blocks to the others. It waits, first in the queue, until it fits again.
- REWIND: state is lost, because a model server was restarted or its pool was claimed by another owner. There
  is no shortage, so every running sequence keeps its place and is prefilled again in the next steps.

Both happen with resident state only. Explicit state is reserved in full at admission, and lies in this
process.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from deployments.decoder.sampling.logit_edit_list import LogitEditList
from deployments.decoder.sampling.token_mask import Mask
from deployments.messages import FinishReason, SamplingParams

TokenIds: TypeAlias = Sequence[int]


class SequenceState(Enum):
    """Where a sequence stands between its submission and its end; the last three are final."""

    WAITING = "waiting"
    PREFILLING = "prefilling"
    DECODING = "decoding"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Event(Enum):
    """What moves a sequence from one state to another."""

    ADMIT = "admit"
    PROMPT_DONE = "prompt done"
    REWIND = "rewind"
    PREEMPT = "preempt"
    FINISH = "finish"
    FAIL = "fail"
    CANCEL = "cancel"


_MOVES: dict[tuple[SequenceState, Event], SequenceState] = {
    (SequenceState.WAITING, Event.ADMIT): SequenceState.PREFILLING,
    (SequenceState.WAITING, Event.FAIL): SequenceState.FAILED,
    (SequenceState.WAITING, Event.CANCEL): SequenceState.CANCELLED,
    (SequenceState.PREFILLING, Event.PROMPT_DONE): SequenceState.DECODING,
    (SequenceState.PREFILLING, Event.FAIL): SequenceState.FAILED,
    (SequenceState.PREFILLING, Event.CANCEL): SequenceState.CANCELLED,
    (SequenceState.PREFILLING, Event.REWIND): SequenceState.PREFILLING,
    (SequenceState.PREFILLING, Event.PREEMPT): SequenceState.WAITING,
    (SequenceState.DECODING, Event.REWIND): SequenceState.PREFILLING,
    (SequenceState.DECODING, Event.PREEMPT): SequenceState.WAITING,
    (SequenceState.DECODING, Event.FINISH): SequenceState.FINISHED,
    (SequenceState.DECODING, Event.FAIL): SequenceState.FAILED,
    (SequenceState.DECODING, Event.CANCEL): SequenceState.CANCELLED,
}
_RUNNING = frozenset({SequenceState.PREFILLING, SequenceState.DECODING})
_LIVE = _RUNNING | {SequenceState.WAITING}


class IllegalMoveError(RuntimeError):
    """An event that the state of the sequence does not allow: a bug of the decode loop."""


@dataclass(eq=False)
class TokenSequence:
    """The token ids of one generation; the model's state holds the first `computed` of them.

    If that state is lost, it can be computed again from the ids.
    """

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: SamplingParams = field(default_factory=SamplingParams)
    eos: frozenset[int] = frozenset()
    """Ids that end the sequence and are not part of it: the request's and, unless ignored, the model's."""
    mask: Mask | None = None
    """The tokens that may be sampled; None: all."""
    generated: list[int] = field(default_factory=list)
    """The answer so far."""
    computed: int = 0
    """How many tokens, from the first of the prompt on, are in the model's state."""
    cached: int = 0
    """How many prompt tokens came from the prefix cache when the sequence was first admitted."""
    state: SequenceState = SequenceState.WAITING
    finish_reason: FinishReason | None = None
    edits: LogitEditList | None = field(default=None, init=False)
    """The logits that its sampling parameters change; None: none."""

    def __post_init__(self) -> None:
        assert self.prompt, "the prompt of a sequence has at least one token"
        assert self.max_tokens >= 1, "a sequence generates at least one token"
        if self.sampling.edits:
            self.edits = LogitEditList(self.sampling, self.prompt, self.eos, self.max_tokens)

    @property
    def length(self) -> int:
        """Number of tokens in the prompt and the answer so far."""
        return len(self.prompt) + len(self.generated)

    @property
    def capacity(self) -> int:
        """Number of tokens whose state may have to be held; the last sampled token is never computed."""
        return len(self.prompt) + self.max_tokens - 1

    @property
    def pending(self) -> int:
        """Number of tokens that are known but not yet computed."""
        return self.length - self.computed

    @property
    def remaining(self) -> int:
        """Number of tokens that may still be generated."""
        return self.max_tokens - len(self.generated)

    @property
    def token_budget(self) -> int:
        """How many tokens one call may generate.

        End tokens are banned until the answer has `min_tokens`. A call bans them in all its steps or in none,
        so it stops where the ban ends.
        """
        banned_steps = self.sampling.min_tokens - len(self.generated)
        return min(self.remaining, banned_steps) if banned_steps > 0 else self.remaining

    @property
    def running(self) -> bool:
        """Whether it holds state and takes part in steps."""
        return self.state in _RUNNING

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.state in _LIVE

    def next_tokens(self, count: int) -> tuple[int, ...]:
        """Returns the first `count` pending token ids."""
        assert 1 <= count <= self.pending, f"{count} of {self.pending} pending tokens"
        if self.state is SequenceState.DECODING:
            return (self.generated[-1],)
        return self.ids[self.computed : self.computed + count]

    @property
    def ids(self) -> tuple[int, ...]:
        """The token ids of the prompt and the answer so far."""
        return (*self.prompt, *self.generated) if self.generated else self.prompt

    @property
    def computed_ids(self) -> tuple[int, ...]:
        """The token ids that are in the model's state."""
        return self.ids[: self.computed]

    def move(self, event: Event) -> None:
        """Changes the state as the table says; raises IllegalMoveError if it has no such move."""
        try:
            self.state = _MOVES[self.state, event]
        except KeyError:
            raise IllegalMoveError(f"{event.value!r} while {self.state.value} (sequence {self.id})") from None

    def feed(self, count: int) -> bool:
        """Marks `count` pending tokens as computed; returns whether none is left, so that one is sampled."""
        assert self.running
        assert 1 <= count <= self.pending
        self.computed += count
        return self.pending == 0

    def begin(self, cached: int) -> None:
        """Starts the prefill of a sequence just admitted; its first `cached` tokens are computed already."""
        assert self.state is SequenceState.PREFILLING
        assert 0 <= cached < self.length, "the last token must be computed to sample the next"
        self.computed = cached
        if not self.generated:
            self.cached = cached

    def rewind(self) -> None:
        """Marks every token as pending, because the state is lost; the answer so far stays."""
        self.move(Event.REWIND)
        self.computed = 0

    def append(self, token: int) -> FinishReason | None:
        """Appends the sampled token; returns the finish reason if the sequence ends with it, else None."""
        assert self.pending == 0, "a token is sampled only after all others were computed"
        if self.state is SequenceState.PREFILLING:
            self.move(Event.PROMPT_DONE)
        if token in self.eos:
            return self._finish(FinishReason.STOP)
        self.generated.append(token)
        if len(self.generated) == self.max_tokens:
            return self._finish(FinishReason.LENGTH)
        return None

    def _finish(self, reason: FinishReason) -> FinishReason:
        self.move(Event.FINISH)
        self.finish_reason = reason
        return reason


def common_prefix_length(a: TokenIds, b: TokenIds) -> int:
    """Returns the length of the longest common prefix of `a` and `b`."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        # Binary search, because slices are compared in C.
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low
