"""The prefix cache: which token ids have their keys and values in free slots.

A prompt with the same prefix need not compute it again. Pure.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from deployments.decoder.sequence import TokenIds, common_prefix_length

MIN_SHARED_TOKENS = 16
"""A shorter common prefix is not worth a copy."""


@dataclass(frozen=True)
class Match:
    """The first `count` token ids of a prompt are computed in `slot`."""

    slot: int
    count: int


@dataclass
class PrefixCache:
    """The token ids that each free slot holds, the least recently used slot first."""

    _ids: OrderedDict[int, TokenIds] = field(default_factory=OrderedDict)

    def __contains__(self, slot: int) -> bool:
        return slot in self._ids

    def __getitem__(self, slot: int) -> TokenIds:
        return self._ids[slot]

    def put(self, slot: int, ids: TokenIds) -> None:
        """Records what `slot` holds, as most recently used; drops `ids` that are too short to be shared."""
        self.remove(slot)
        if len(ids) >= MIN_SHARED_TOKENS:
            self._ids[slot] = ids

    def remove(self, slot: int) -> TokenIds | None:
        """Removes the entry of `slot`, and returns its token ids; None if it has no entry."""
        return self._ids.pop(slot, None)

    def clear(self) -> None:
        """Removes all entries."""
        self._ids.clear()

    def touch(self, slot: int) -> None:
        """Marks the entry of `slot` as most recently used, if it has one."""
        if slot in self._ids:
            self._ids.move_to_end(slot)

    def least_recent_first(self) -> Iterable[tuple[int, TokenIds]]:
        """Returns slots and their token ids, the least recently used first."""
        return self._ids.items()


def longest_match(prompt: TokenIds, candidates: Iterable[tuple[int, TokenIds]]) -> Match | None:
    """Returns the slot that shares the longest prefix with `prompt`; None if all are too short.

    At least the last token of the prompt is left to be computed.
    """
    head = tuple(prompt[:MIN_SHARED_TOKENS])
    cacheable = prompt[:-1]
    matches = [
        Match(slot, common_prefix_length(cacheable, ids))
        for slot, ids in candidates
        if tuple(ids[:MIN_SHARED_TOKENS]) == head
    ]
    best = max(matches, key=lambda match: match.count, default=None)
    return best if best and best.count >= MIN_SHARED_TOKENS else None
