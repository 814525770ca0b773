"""Drafts by prompt lookup: the tokens that followed when the last tokens of a sequence occurred before. Pure.

The model checks a draft in one call, so drafts change how fast tokens come, but not which.
"""

from dataclasses import dataclass, field

from deployments.decoder.sequence import TokenIds

NGRAM = 3
"""How many last tokens must have occurred before."""
INITIAL_LENGTH = 4
"""Tokens in the first draft of a sequence."""
_WEIGHT = 0.3
"""Weight of the newest draft in the running mean."""


@dataclass
class Drafter:
    """Drafts for one sequence: they get longer while they are accepted, and shorter when they are not."""

    max_tokens: int
    """Tokens in a draft, at most."""
    acceptance_rate: float = 0.5
    """Running mean of the fraction of drafted tokens that is accepted."""
    _length: int = INITIAL_LENGTH
    _ends: dict[tuple[int, ...], int] = field(default_factory=dict)
    """The index after the latest occurrence of each run of NGRAM tokens."""
    _indexed: int = NGRAM - 1

    def draft(self, ids: TokenIds, limit: int) -> tuple[int, ...]:
        """Returns up to `limit` tokens that may follow `ids`; () if the last NGRAM of these are new."""
        self._index(ids)
        start = self._ends.get(tuple(ids[-NGRAM:]))
        count = min(self._length, limit)
        if start is None or count <= 0:
            return ()
        # A draft that is longer than what followed goes on with the same tokens again.
        followed = tuple(ids[start:])
        return (followed * (-(-count // len(followed))))[:count]

    def record(self, drafted: int, accepted: int) -> None:
        """Adapts rate and length to a draft of `drafted` tokens, of which `accepted` were accepted."""
        self.acceptance_rate += _WEIGHT * (accepted / drafted - self.acceptance_rate)
        self._length = min(self.max_tokens, 2 * self._length) if accepted == drafted else max(1, accepted + 1)

    def _index(self, ids: TokenIds) -> None:
        """Indexes all new runs but the last one, which `draft` looks up."""
        for end in range(self._indexed + 1, len(ids)):
            self._ends[tuple(ids[end - NGRAM : end])] = end
        self._indexed = max(self._indexed, len(ids) - 1)
