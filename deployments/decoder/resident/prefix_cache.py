"""What slots hold that nobody owns any more, for prompts that begin the same. Pure; knows no slot table.

A text is the ids whose keys and values lie in a slot; least recently used ones give way first.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from deployments.decoder.sequence import common_prefix_length

Ids: TypeAlias = Sequence[int]

MIN_SHARED_TOKENS = 16
"""Tokens from which a common beginning is worth a copy."""


@dataclass(frozen=True)
class Match:
    """The first `count` ids of a prompt lie in `slot`."""

    slot: int
    count: int


@dataclass
class PrefixCache:
    """Texts of slots that are free, by slot, the least recently used first."""

    _texts: OrderedDict[int, Ids] = field(default_factory=OrderedDict)

    def __contains__(self, slot: int) -> bool:
        return slot in self._texts

    def __getitem__(self, slot: int) -> Ids:
        return self._texts[slot]

    def keep(self, slot: int, ids: Ids) -> None:
        """As the most recently used; a text that is too short to be shared is not worth a place."""
        self.forget(slot)
        if len(ids) >= MIN_SHARED_TOKENS:
            self._texts[slot] = ids

    def forget(self, slot: int) -> Ids | None:
        return self._texts.pop(slot, None)

    def clear(self) -> None:
        self._texts.clear()

    def touch(self, slot: int) -> None:
        """It was used just now, if a text is kept there."""
        if slot in self._texts:
            self._texts.move_to_end(slot)

    def least_recent_first(self) -> Iterable[tuple[int, Ids]]:
        return self._texts.items()


def longest_match(prompt: Ids, texts: Iterable[tuple[int, Ids]]) -> Match | None:
    """The text that shares most with `prompt`, which keeps at least its last token to be computed."""
    head = tuple(prompt[:MIN_SHARED_TOKENS])
    wanted = prompt[:-1]
    shared = [
        Match(slot, common_prefix_length(wanted, ids))
        for slot, ids in texts
        if tuple(ids[:MIN_SHARED_TOKENS]) == head
    ]
    best = max(shared, key=lambda match: match.count, default=None)
    return best if best and best.count >= MIN_SHARED_TOKENS else None
