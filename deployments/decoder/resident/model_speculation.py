"""Speculation with a draft model: how many tokens to draft, so that verifying them is faster than steps.

The times of all calls and the rate at which guesses are accepted are measured. Where drafts do not pay they
are tried again from time to time, since the rate depends on the text.
"""

from collections.abc import Sequence
from typing import Protocol

from deployments.decoder.resident.draft_model import Guesses
from deployments.decoder.resident.speculation import MARGIN, MAX_CALL_TOKENS, Drafts, Speculation
from deployments.decoder.sequence import TokenSequence

OPTIMISTIC_RATE = 0.8
"""The acceptance rate that is assumed at first."""
PAUSE_STEPS = 50
"""Decode calls without drafts after the draft model had none to give."""
_WEIGHT = 0.1
"""Weight of the newest call in the running mean."""
_DECAY = 0.005
"""How far the rate returns to the optimistic one with every step without drafts."""


class Guesser(Protocol):
    """A draft model."""

    @property
    def available(self) -> bool:
        """Whether its model server answers, as far as is known."""

    def expected_s(self, rows: int, count: int) -> float:
        """Returns the seconds that drafts of `count` tokens for `rows` sequences are expected to take."""

    async def draft(self, sequences: Sequence[TokenSequence], count: int) -> Guesses:
        """Returns up to `count` tokens for each sequence that can be followed; nothing if a call fails."""

    def drop(self, sequence: TokenSequence) -> None:
        """Forgets `sequence`, if it is followed."""

    def audit(self) -> None:
        """Asserts that the records are consistent."""


class ModelSpeculation:
    """Plans the drafts of a draft model for one engine, and learns whether they pay off."""

    def __init__(self, guesser: Guesser, max_draft_tokens: int, speculation: Speculation) -> None:
        self._guesser = guesser
        self._max_draft_tokens = max_draft_tokens
        self._speculation = speculation
        self.acceptance_rate = OPTIMISTIC_RATE
        """Running mean of how likely the next guess is accepted, if those before it were."""
        self._pause = 0
        """Decode calls until the draft model is asked again."""

    def count(self, rows: int) -> int:
        """Returns how many tokens to draft for each of `rows` sequences; 0 where steps are faster."""
        if self._pause or not self._guesser.available:
            self._pause = max(0, self._pause - 1)
            return 0
        limit = max(0, min(self._max_draft_tokens, MAX_CALL_TOKENS // rows - 1))
        count = max(range(limit + 1), key=lambda count: self._tokens_per_s(rows, count))
        if count == 0:
            self.acceptance_rate += _DECAY * (OPTIMISTIC_RATE - self.acceptance_rate)
        return count

    async def draft(self, sequences: Sequence[TokenSequence], count: int) -> Drafts | None:
        """Returns the guesses as drafts of a call; None if there are none."""
        guesses = await self._guesser.draft(
            [s for s in sequences if s.edits is None and s.mask is None], count
        )
        if not any(guesses.values()):
            self._pause = PAUSE_STEPS
            return None
        ids = tuple(sequence.id for sequence in sequences)
        return Drafts(ids, tuple(guesses.get(sequence_id, ()) for sequence_id in ids), looked_up=False)

    def record(self, drafted: int, accepted: int) -> None:
        """Learns from a draft of `drafted` tokens, of which the first `accepted` were accepted."""
        tried = accepted + (accepted < drafted)
        self.acceptance_rate += _WEIGHT * min(1, tried) * (accepted / max(1, tried) - self.acceptance_rate)

    def drop(self, sequence: TokenSequence) -> None:
        """Forgets `sequence`."""
        self._guesser.drop(sequence)

    def audit(self) -> None:
        """Asserts that the draft model's records are consistent."""
        self._guesser.audit()

    def _tokens_per_s(self, rows: int, count: int) -> float:
        """Returns the tokens per second and row that drafts of `count` tokens are expected to give."""
        if count == 0:
            return MARGIN / self._speculation.step_s
        tokens = sum(self.acceptance_rate**i for i in range(count + 1))
        seconds = self._guesser.expected_s(rows, count) + self._speculation.verify_s(rows, count + 1)
        return tokens / seconds
