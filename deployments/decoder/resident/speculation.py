"""Speculative decoding: which rows of a step get drafts, and whether a call that verifies them pays off.

Such a call takes longer than a decode step, and gives more tokens if drafts are accepted. Both are measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from deployments.decoder.engine import SampledTokens
from deployments.decoder.pace import CallCost
from deployments.decoder.resident.drafts import Drafter
from deployments.decoder.sequence import TokenSequence, common_prefix_length

MAX_CALL_TOKENS = 128
"""Tokens of one call, padding included: each has logits over the whole vocabulary."""
MARGIN = 1.1
"""Drafts are used if they are expected to be faster than steps by this factor."""
_WEIGHT = 0.3
"""Weight of the newest call in the running mean."""
_DECAY = 0.02
"""How far the slowdown returns to 1 with every step without drafts, so that drafts are tried again."""


@dataclass(frozen=True)
class Drafts:
    """For each sequence of a step, tokens that may follow its last one; () for a sequence without a draft."""

    sequence_ids: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    looked_up: bool = True
    """Whether they come from the sequences' own tokens; else from a draft model."""

    @property
    def width(self) -> int:
        """Tokens of the longest row of the call: its pending token and its draft."""
        return 1 + max(map(len, self.rows))

    def select(self, sequence_ids: list[str]) -> "Drafts":
        """Returns the drafts of these sequences."""
        rows = dict(zip(self.sequence_ids, self.rows, strict=True))
        return replace(
            self, sequence_ids=tuple(sequence_ids), rows=tuple(rows[each] for each in sequence_ids)
        )


class Speculation:
    """Plans the drafts of one engine, and learns whether they pay off."""

    def __init__(self, max_draft_tokens: int, step_cost: CallCost, prefill_cost: CallCost) -> None:
        """`max_draft_tokens`: tokens in a draft, at most; 0 means no drafts."""
        self._max_draft_tokens = max_draft_tokens
        self._step_cost = step_cost
        self._prefill_cost = prefill_cost
        self._drafters: WeakKeyDictionary[TokenSequence, Drafter] = WeakKeyDictionary()
        self._slowdown = 1.0
        """Running mean of the time of a call with drafts, relative to `_expected_s`."""

    def plan(self, sequences: Sequence[TokenSequence]) -> Drafts | None:
        """Returns drafts for sequences that all have one pending token; None if steps are faster."""
        limit = min(self._max_draft_tokens, MAX_CALL_TOKENS // len(sequences) - 1)
        if limit < 1:
            return None
        drafts = Drafts(
            tuple(sequence.id for sequence in sequences),
            tuple(self._draft(sequence, limit) for sequence in sequences),
        )
        if drafts.width > 1 and self._pays(sequences, drafts):
            return drafts
        self._slowdown += _DECAY * (1 - self._slowdown)
        return None

    def record(self, drafts: Drafts, seconds: float) -> None:
        """Learns from a call with drafts that took `seconds` seconds."""
        slowdown = seconds / self._expected_s(len(drafts.rows), drafts.width)
        self._slowdown += _WEIGHT * (slowdown - self._slowdown)

    @property
    def step_s(self) -> float:
        """Seconds that a decode step is expected to take."""
        return self._step_cost.expected_s(1)

    @property
    def prompt_token_s(self) -> float:
        """Seconds that each token of a prompt is expected to add to a call."""
        return self._prefill_cost.unit_s

    def verify_s(self, rows: int, width: int) -> float:
        """Returns the seconds that a call of `rows` rows with up to `width` tokens is expected to take."""
        return self._slowdown * self._expected_s(rows, width)

    def record_accepted(self, sequence: TokenSequence, drafted: int, accepted: int) -> None:
        """Learns from a draft of `drafted` tokens, of which the first `accepted` were accepted."""
        self._drafters[sequence].record(drafted, accepted)

    def _draft(self, sequence: TokenSequence, limit: int) -> tuple[int, ...]:
        drafter = self._drafters.setdefault(sequence, Drafter(self._max_draft_tokens))
        # One token of the budget is sampled after the draft.
        return drafter.draft(sequence.ids, min(limit, sequence.token_budget - 1))

    def tokens_per_s(self, sequences: Sequence[TokenSequence], drafts: Drafts | None) -> float:
        """Returns the tokens per second and row that are expected with `drafts` of `plan`, or with steps."""
        if drafts is None:
            return 1 / self.step_s
        accepted = sum(
            self._drafters[sequence].acceptance_rate * len(draft)
            for sequence, draft in zip(sequences, drafts.rows, strict=True)
        )
        return (1 + accepted / len(sequences)) / self.verify_s(len(drafts.rows), drafts.width)

    def _pays(self, sequences: Sequence[TokenSequence], drafts: Drafts) -> bool:
        """Whether the tokens expected per row justify the time of the call."""
        return self.tokens_per_s(sequences, drafts) > MARGIN * self.tokens_per_s(sequences, None)

    def _expected_s(self, rows: int, width: int) -> float:
        """Seconds of a decode step, plus those of the drafted tokens and the padding at prefill speed."""
        return self.step_s + rows * (width - 1) * self._prefill_cost.unit_s


def accepted(draft: tuple[int, ...], sampled: SampledTokens) -> SampledTokens:
    """Returns the accepted prefix of the draft, plus one sampled token.

    `sampled` holds a token sampled after the pending token and after each token of the draft.
    """
    count = common_prefix_length(draft, sampled.ids) + 1
    logprobs = None if sampled.logprobs is None else sampled.logprobs[:count]
    return SampledTokens(sampled.ids[:count], logprobs)
