"""Speculative decoding: which rows of a step get drafts, and whether one call that checks them pays.

A call over drafts takes longer than a step and gives more tokens where they are right; both are learned.
Knows neither pools nor servers.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from deployments.decoder.engine import SampledTokens
from deployments.decoder.pace import Pace
from deployments.decoder.resident.drafts import Drafter
from deployments.decoder.sequence import TokenSequence, common_prefix_length

MOST_TOKENS = 128
"""In one call, padding included: each has logits over the whole vocabulary."""
MARGIN = 1.1
"""How much faster drafts must be than steps."""
_WEIGHT = 0.3
"""Of the newest call in the running mean."""
_FORGETS = 0.02
"""Of what was learned, with every step that went without drafts: what did not pay is tried again."""


@dataclass(frozen=True)
class Drafts:
    """For each row of a step, tokens that may follow its last one; () for some."""

    owners: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]

    @property
    def width(self) -> int:
        """Tokens of the longest row of a call that checks them, its last one included."""
        return 1 + max(map(len, self.rows))

    @property
    def padded_tokens(self) -> int:
        return len(self.rows) * self.width

    def of(self, owners: list[str]) -> "Drafts":
        """Those of these owners."""
        rows = dict(zip(self.owners, self.rows, strict=True))
        return Drafts(tuple(owners), tuple(rows[owner] for owner in owners))


class Speculation:
    """Of one engine; `most` tokens in a draft, 0 for none at all."""

    def __init__(self, most: int, steps: Pace, tokens: Pace) -> None:
        self._most = most
        self._steps = steps
        self._tokens = tokens
        self._drafters: WeakKeyDictionary[TokenSequence, Drafter] = WeakKeyDictionary()
        self._slowness = 1.0
        """How long such calls take, in terms of what steps and prompt tokens take."""

    def plan(self, sequences: Sequence[TokenSequence]) -> Drafts | None:
        """Drafts for sequences that all have one token pending; None where steps are faster."""
        most = min(self._most, MOST_TOKENS // len(sequences) - 1)
        if most < 1:
            return None
        drafts = Drafts(
            tuple(sequence.id for sequence in sequences),
            tuple(self._draft(sequence, most) for sequence in sequences),
        )
        if drafts.width > 1 and self._pays(sequences, drafts):
            return drafts
        self._slowness += _FORGETS * (1 - self._slowness)
        return None

    @contextmanager
    def timed(self, drafts: Drafts) -> Iterator[None]:
        """Measure the call in the `with` block; one that fails does not count."""
        start = time.perf_counter()
        yield
        taken = (time.perf_counter() - start) / self._expected_s(drafts)
        self._slowness += _WEIGHT * (taken - self._slowness)

    def agreed(self, sequence: TokenSequence, draft: tuple[int, ...], given: SampledTokens) -> SampledTokens:
        """What of `given`, a token after each of the draft's, is what would have come without a draft."""
        right = common_prefix_length(draft, given.ids)
        if draft:
            self._drafters[sequence].checked(len(draft), right)
        logprobs = None if given.logprobs is None else given.logprobs[: right + 1]
        return SampledTokens(given.ids[: right + 1], logprobs)

    def _draft(self, sequence: TokenSequence, most: int) -> tuple[int, ...]:
        drafter = self._drafters.setdefault(sequence, Drafter(self._most))
        # One token comes without a draft.
        return drafter.draft(sequence.ids, min(most, sequence.token_budget - 1))

    def _pays(self, sequences: Sequence[TokenSequence], drafts: Drafts) -> bool:
        right = sum(
            self._drafters[sequence].rate * len(draft)
            for sequence, draft in zip(sequences, drafts.rows, strict=True)
        )
        gained = (len(sequences) + right) / len(sequences)
        return gained * self._steps.unit_s > MARGIN * self._slowness * self._expected_s(drafts)

    def _expected_s(self, drafts: Drafts) -> float:
        more = drafts.padded_tokens - len(drafts.rows)
        return self._steps.unit_s + more * self._tokens.unit_s
