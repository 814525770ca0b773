"""One generation inside the decode loop: its tokens, and where it stands.

Knows neither the model server nor the client; the states and the legal moves are one table.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from deployments.decoder.sampling.logit_edit_list import LogitEditList
from deployments.decoder.sampling.token_mask import Mask
from deployments.messages import FinishReason, SamplingParams


class SequenceState(Enum):
    WAITING = "waiting"
    PREFILLING = "prefilling"
    DECODING = "decoding"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Event(Enum):
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
    """A bug of ours: an event that the sequence's state does not allow."""


@dataclass(eq=False)
class TokenSequence:
    """Token ids are the truth of a sequence; `computed` of them are in its state at the model."""

    id: str
    prompt: tuple[int, ...]
    max_tokens: int
    sampling: SamplingParams = field(default_factory=SamplingParams)
    eos: frozenset[int] = frozenset()
    """Each ends the sequence and is not handed out: the request's, and the model's unless ignored."""
    mask: Mask | None = None
    """The tokens that it may get; None: any."""
    generated: list[int] = field(default_factory=list)
    computed: int = 0
    cached: int = 0
    """Tokens of the prompt that were in a state already when the sequence began."""
    state: SequenceState = SequenceState.WAITING
    finish_reason: FinishReason | None = None
    edits: LogitEditList | None = field(default=None, init=False)
    """What its sampling changes in the logits; None: nothing."""

    def __post_init__(self) -> None:
        assert self.prompt, "a sequence begins with at least one token"
        assert self.max_tokens >= 1, "a sequence generates at least one token"
        if self.sampling.edits:
            self.edits = LogitEditList(self.sampling, self.prompt, self.eos, self.max_tokens)

    @property
    def length(self) -> int:
        """Tokens of prompt and answer so far."""
        return len(self.prompt) + len(self.generated)

    @property
    def capacity(self) -> int:
        """Tokens whose state may have to be held: the last one sampled is never fed back."""
        return len(self.prompt) + self.max_tokens - 1

    @property
    def pending(self) -> int:
        """Tokens that are known and not yet in the state: what the next call may feed."""
        return self.length - self.computed

    @property
    def remaining(self) -> int:
        """Tokens that it may still generate."""
        return self.max_tokens - len(self.generated)

    @property
    def ahead(self) -> int:
        """Tokens that one call may give it: up to its end, or to where tokens that end it are allowed."""
        banned = self.sampling.min_tokens - len(self.generated)
        return min(self.remaining, banned) if banned > 0 else self.remaining

    @property
    def running(self) -> bool:
        """Holds state and takes part in steps."""
        return self.state in _RUNNING

    @property
    def live(self) -> bool:
        return self.state in _LIVE

    def next_tokens(self, count: int) -> tuple[int, ...]:
        """The first `count` pending tokens."""
        assert 1 <= count <= self.pending, f"{count} of {self.pending} pending tokens"
        if self.state is SequenceState.DECODING:
            return (self.generated[-1],)
        return self.ids[self.computed : self.computed + count]

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and answer so far."""
        return (*self.prompt, *self.generated) if self.generated else self.prompt

    @property
    def held_ids(self) -> tuple[int, ...]:
        """Those that are in the state."""
        return self.ids[: self.computed]

    def move(self, event: Event) -> None:
        """Follow the table; IllegalMoveError names state and event where it has no such move."""
        try:
            self.state = _MOVES[self.state, event]
        except KeyError:
            raise IllegalMoveError(f"{event.value!r} while {self.state.value} (sequence {self.id})") from None

    def feed(self, count: int) -> bool:
        """`count` pending tokens are in the state now; True where that was the last: a token is due."""
        assert self.running
        assert 1 <= count <= self.pending
        self.computed += count
        return self.pending == 0

    def begin(self, held: int) -> None:
        """It was admitted, and its state holds its first `held` tokens already."""
        assert self.state is SequenceState.PREFILLING
        assert 0 <= held < self.length, "a token is sampled after one that was fed"
        self.computed = held
        if not self.generated:
            self.cached = held

    def rewind(self) -> None:
        """Its state is gone: every token is pending again. What was generated stays."""
        self.move(Event.REWIND)
        self.computed = 0

    def append(self, token: int) -> FinishReason | None:
        """Take the token that was sampled after the last one; the reason if it ends the sequence."""
        assert self.pending == 0, "a token is sampled only when all others are computed"
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


def common_prefix_length(a: Sequence[int], b: Sequence[int]) -> int:
    """Returns how many token ids `a` and `b` have in common from their first on."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        # Slices compare without Python per element.
        low, high = (middle, high) if a[low:middle] == b[low:middle] else (low, middle - 1)
    return low
