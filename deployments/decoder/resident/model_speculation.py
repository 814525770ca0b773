"""Speculation with a draft model: for which sequences, and how many tokens, so that it beats all else.

The times of all calls and the rate at which drafted tokens are accepted are measured. Where drafts do not pay
they are tried again, more and more rarely, because the rate depends on the text.
"""

from collections.abc import Sequence
from typing import Protocol

from deployments.decoder.engine import DraftCounts
from deployments.decoder.pace import CallCost
from deployments.decoder.resident.draft_model import DraftedTokens
from deployments.decoder.resident.speculation import MARGIN, MAX_CALL_TOKENS, Drafts, Speculation
from deployments.decoder.sequence import TokenSequence

OPTIMISTIC_RATE = 0.8
"""The acceptance rate that is assumed at every new attempt."""
FIRST_PAUSE = 8
"""Calls without drafts before the first attempt, in which the time of a step is learned; and after an attempt
that has paid. After one that has not, the pause is twice as long as the one before it."""
LONGEST_PAUSE = 1024
ROUNDS = 32
"""After so many calls with drafts there is one without, so that the time of a step stays known."""
TRIAL_TOKENS = 4
"""Tokens of a draft that is made only to measure how long it takes."""
CATCH_UP_SHARE = MARGIN - 1
"""A prompt is computed by the draft model if this takes at most this part of the time of its answer."""
CATCH_UP_TOKENS = 32
"""So many tokens are always worth computing."""
MOST_TOKEN_STEPS = 1 / 16
"""Each token that a call verifies is assumed to add at most this part of a step's time, until it is known."""
_WEIGHT = 0.1
"""Weight of the newest draft in the running means."""


class DraftSource(Protocol):
    """A draft model."""

    @property
    def max_tokens(self) -> int:
        """Tokens in a draft, at most."""

    def ready(self) -> bool:
        """Returns whether it can draft now; if not, begins to prepare it where that is possible."""

    def lacks(self, sequence: TokenSequence) -> int:
        """Returns how many token ids of `sequence` it has not computed."""

    def prefill_s(self, tokens: int) -> float:
        """Returns the seconds that it is expected to take for `tokens` tokens of a prompt."""

    def decode_s(self, steps: int) -> float:
        """Returns the seconds that it is expected to take for `steps` decode steps."""

    async def draft(self, sequences: Sequence[TokenSequence], count: int) -> DraftedTokens | None:
        """Returns up to `count` tokens for each sequence that is caught up with; None if that cannot be."""

    def drop(self, sequence: TokenSequence) -> None:
        """Forgets `sequence`."""

    def audit(self) -> None:
        """Asserts that the records are consistent."""


class ModelSpeculation:
    """Plans the drafts of a draft model for one engine, and learns whether they pay off."""

    def __init__(self, model: DraftSource, max_draft_tokens: int, speculation: Speculation) -> None:
        self._model = model
        self._max_draft_tokens = max_draft_tokens
        self._speculation = speculation
        self.counts = DraftCounts()
        """Of all drafts that were verified so far."""
        self._mean_accepted, self._mean_tried = OPTIMISTIC_RATE, 1.0
        """Running means of a draft's accepted tokens, and of those with the first that was not."""
        self._pause = self._next_pause = FIRST_PAUSE
        """Calls without drafts until the next attempt, and in the pause after this one."""
        self._trial = False
        """Whether one draft may be made that is not expected to pay, to measure what it takes."""
        self._rounds = 0
        """Calls with drafts since the last one without."""
        self._gained_s = 0.0
        """Seconds per row that the drafts have gained in this attempt, compared with steps."""
        self._verify_cost: CallCost | None = None
        """Of a call that verifies drafts, by its drafted tokens and their padding; None: not measured."""

    @property
    def acceptance_rate(self) -> float:
        """How likely a drafted token is accepted if those before it were."""
        return self._mean_accepted / self._mean_tried

    def plan(self, sequences: Sequence[TokenSequence], otherwise: float) -> int:
        """Returns how many tokens to draft for each sequence; 0 where that is not expected to be faster.

        `otherwise`: the tokens per second and sequence that are expected without the draft model.
        """
        ready = self._model.ready()
        if self._pause:
            self._pause -= 1
            return 0
        drafted = self._worth_drafting(sequences) if ready else []
        of_call = MAX_CALL_TOKENS // len(sequences) - 1
        limit = min(self._max_draft_tokens, self._model.max_tokens, of_call)
        if not drafted or limit < 1:
            return 0
        if self._rounds >= ROUNDS:
            self._rounds = 0
            return 0
        speeds = {n: self._tokens_per_s(len(sequences), len(drafted), n) for n in range(1, limit + 1)}
        best = max(speeds, key=lambda count: speeds[count])
        if speeds[best] > MARGIN * otherwise:
            return best
        if self._trial:
            return min(TRIAL_TOKENS, limit)
        self._rest()
        return 0

    async def draft(self, sequences: Sequence[TokenSequence], count: int) -> Drafts | None:
        """Has up to `count` tokens drafted for those of `sequences` that are worth it; None: no drafts."""
        self._trial = False
        drafted = await self._model.draft(self._worth_drafting(sequences), count)
        if drafted is None:
            self._rest()
            return None
        if not any(drafted.values()):
            # The draft model is still computing prompts.
            return None
        self._rounds += 1
        ids = tuple(sequence.id for sequence in sequences)
        return Drafts(ids, tuple(drafted.get(sequence_id, ()) for sequence_id in ids), looked_up=False)

    def record_call(self, drafts: Drafts, accepted: int, seconds: float) -> None:
        """Learns from a call that verified `drafts` in `seconds` seconds, and accepted so many tokens."""
        rows, step_s = len(drafts.rows), self._speculation.step_s
        if self._verify_cost is None:
            self._verify_cost = CallCost(min(self._speculation.prompt_token_s, step_s * MOST_TOKEN_STEPS))
            self._verify_cost.fixed_s = step_s
        self._verify_cost.record(rows * (drafts.width - 1), seconds)
        draft_s = self._draft_s(sum(map(bool, drafts.rows)), drafts.width - 1)
        self._gained_s += (1 + accepted / rows) * step_s - (draft_s + seconds)

    def record(self, drafted: int, accepted: int) -> None:
        """Learns from a draft of `drafted` tokens, of which the first `accepted` were accepted."""
        self.counts = DraftCounts(self.counts.drafted + drafted, self.counts.accepted + accepted)
        tried = min(drafted, accepted + 1)
        self._mean_accepted += _WEIGHT * (accepted - self._mean_accepted)
        self._mean_tried += _WEIGHT * (tried - self._mean_tried)

    def drop(self, sequence: TokenSequence) -> None:
        """Forgets `sequence`."""
        self._model.drop(sequence)

    def audit(self) -> None:
        """Asserts that the draft model's records are consistent."""
        self._model.audit()

    def _rest(self) -> None:
        """Begins a pause, after which the drafts are tried once more."""
        self._pause = FIRST_PAUSE if self._gained_s > 0 else self._next_pause
        self._next_pause = min(2 * self._pause, LONGEST_PAUSE)
        self._gained_s = 0.0
        self._mean_accepted, self._mean_tried = OPTIMISTIC_RATE, 1.0
        self._trial = True
        self._rounds = 0

    def _worth_drafting(self, sequences: Sequence[TokenSequence]) -> list[TokenSequence]:
        """Those that the draft model can follow, without delaying the others by more than drafts may save."""
        step_s = self._speculation.step_s
        return [
            sequence
            for sequence in sequences
            if sequence.edits is None
            and sequence.mask is None
            # One token is sampled after the draft.
            and sequence.remaining > 1
            and (
                (lacks := self._model.lacks(sequence)) <= CATCH_UP_TOKENS
                or len(sequences) * self._model.prefill_s(lacks)
                <= CATCH_UP_SHARE * sequence.remaining * step_s
            )
        ]

    def _tokens_per_s(self, rows: int, drafted_rows: int, count: int) -> float:
        """Tokens per second and row with drafts of `count` tokens for `drafted_rows` of `rows` rows."""
        accepted = sum(self.acceptance_rate**i for i in range(1, count + 1))
        seconds = self._draft_s(drafted_rows, count) + self._verify_s(rows, count)
        return (1 + accepted * drafted_rows / rows) / seconds

    def _draft_s(self, rows: int, count: int) -> float:
        # A draft begins with the token that was sampled last, or with the last two.
        return self._model.prefill_s(2 * rows) + self._model.decode_s(count - 1)

    def _verify_s(self, rows: int, count: int) -> float:
        if self._verify_cost is None:
            return self._speculation.verify_s(rows, count + 1)
        return self._verify_cost.expected_s(rows * count)
