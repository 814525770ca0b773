"""Guesses of a sequence's next tokens, from its own: what followed when its last tokens stood there before.

Pure. The guesses are checked by the model in one call, so they change how fast tokens come, not which.
"""

from collections.abc import Sequence as Ids
from dataclasses import dataclass, field

NGRAM = 3
"""How many last tokens must have stood there before."""
FIRST = 4
"""Tokens of a sequence's first draft."""
_WEIGHT = 0.3
"""Of the newest draft in the running mean."""


@dataclass
class Drafter:
    """One sequence's drafts: they grow while they are right, and shrink when they are not."""

    most: int
    """Tokens in a draft."""
    rate: float = 0.5
    """Of the drafted tokens, how many are right; a guess at first."""
    _length: int = FIRST
    _ends: dict[tuple[int, ...], int] = field(default_factory=dict)
    """Where each run of NGRAM tokens ended last."""
    _indexed: int = NGRAM - 1

    def draft(self, ids: Ids[int], most: int) -> tuple[int, ...]:
        """What may follow `ids`, up to `most` tokens; () where their end is new."""
        self._index(ids)
        start = self._ends.get(tuple(ids[-NGRAM:]))
        count = min(self._length, most)
        if start is None or count <= 0:
            return ()
        # A run that reaches the end repeats itself.
        again = tuple(ids[start:])
        return (again * (-(-count // len(again))))[:count]

    def checked(self, drafted: int, right: int) -> None:
        """Learn that of `drafted` tokens the first `right` were right."""
        self.rate += _WEIGHT * (right / drafted - self.rate)
        self._length = min(self.most, 2 * self._length) if right == drafted else max(1, right + 1)

    def _index(self, ids: Ids[int]) -> None:
        """All runs but the last one, which is what is looked up."""
        for end in range(self._indexed + 1, len(ids)):
            self._ends[tuple(ids[end - NGRAM : end])] = end
        self._indexed = max(self._indexed, len(ids) - 1)
