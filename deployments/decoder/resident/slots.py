"""Which slot of a model server's pool belongs to which sequence. Pure; knows no server.

A decode call reads the first slots up to the highest one in use, and lower slots may have more blocks; so
`arrange` says what to move where once there are holes, or an owner needs more blocks than its slot has. What
a released slot holds is kept until another sequence needs the slot: a prompt that begins the same starts from
a copy of it, or takes the slot over.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.prefix_cache import Ids, Match, PrefixCache, longest_match


@dataclass(frozen=True)
class Move:
    """A copy of the first `blocks` blocks."""

    source: int
    target: int
    blocks: int


@dataclass(frozen=True)
class CachedPrefix:
    """How many tokens a new owner's slot holds already, once `copy` was made."""

    cached: int = 0
    copy: Move | None = None


@dataclass
class _Owner:
    slot: int
    blocks: int
    """It needs so many."""
    text: Callable[[], Ids]
    """The ids whose keys and values are in the slot."""


@dataclass
class SlotTable:
    """Free, kept and owned slots; free + kept + owned = all."""

    layout: BlockLayout
    block_size: int
    """Tokens in a block."""
    shares: bool = True
    """Whether texts are kept and prompts looked up in them."""
    _owners: dict[str, _Owner] = field(default_factory=dict)
    _kept: PrefixCache = field(default_factory=PrefixCache)

    def __contains__(self, owner: str) -> bool:
        return owner in self._owners

    def __len__(self) -> int:
        """Slots that are owned."""
        return len(self._owners)

    def __getitem__(self, owner: str) -> int:
        return self._owners[owner].slot

    @property
    def rows(self) -> int:
        """How many of the first slots a call must span to reach every owner."""
        return max((owner.slot for owner in self._owners.values()), default=-1) + 1

    def take(self, owner: str, blocks: int, text: Callable[[], Ids], prompt: Ids = ()) -> CachedPrefix:
        """A slot for a new owner that needs `blocks`; a `prompt` is looked up in what slots hold."""
        assert owner not in self._owners, f"{owner} has a slot"
        match = longest_match(prompt, self._texts()) if self.shares and prompt else None
        slot = match.slot if match and self._may_take_over(match, blocks) else self._free_slot(blocks, match)
        self._kept.forget(slot)
        self._owners[owner] = _Owner(slot, blocks, text)
        return self._beginning(match, slot)

    def require_blocks(self, owner: str, blocks: int) -> None:
        """From now on `owner` needs so many blocks."""
        self._owners[owner].blocks = blocks

    @property
    def in_use(self) -> bool:
        """Whether any owner has something in its slot."""
        return any(owner.text() for owner in self._owners.values())

    def release(self, owner: str, keep: bool = True) -> None:
        """Free the owner's slot, if it has one; what it holds may be kept for a while."""
        if (gone := self._owners.pop(owner, None)) and keep and self.shares:
            self._kept.keep(gone.slot, gone.text())

    def clear_cache(self) -> None:
        """Nothing is in slots that nobody owns."""
        self._kept.clear()

    def clear(self) -> None:
        """Nothing is in any slot, and nobody owns one."""
        self._owners.clear()
        self._kept.clear()

    def arrange(self) -> list[Move]:
        """Give every owner a slot with enough blocks, and leave no holes; what to copy, all at once."""
        deep = all(owner.blocks <= self.layout.blocks_per_slot[owner.slot] for owner in self._owners.values())
        return self._fill_holes() if deep else self._sort()

    def audit(self) -> None:
        """Assert that no slot is held twice and none lies outside the pool."""
        slots = [owner.slot for owner in self._owners.values()]
        kept = [slot for slot, _ in self._kept.least_recent_first()]
        assert len({*slots, *kept}) == len(slots) + len(kept), f"a slot is held twice: {slots}, kept {kept}"
        assert all(0 <= slot < self.layout.total for slot in (*slots, *kept))

    def _texts(self) -> Iterator[tuple[int, Ids]]:
        yield from ((owner.slot, owner.text()) for owner in self._owners.values())
        yield from self._kept.least_recent_first()

    def _may_take_over(self, match: Match, blocks: int) -> bool:
        """A kept text that the prompt goes on with, mostly; others are worth more as they are."""
        if match.slot not in self._kept or blocks > self.layout.blocks_per_slot[match.slot]:
            return False
        return 2 * match.count >= len(self._kept[match.slot])

    def _beginning(self, match: Match | None, slot: int) -> CachedPrefix:
        if match is None:
            return CachedPrefix()
        if match.slot == slot:
            return CachedPrefix(match.count)
        blocks = self._blocks(match.count)
        if blocks > self.layout.blocks_per_slot[slot]:
            # It will be exchanged for a deeper one before it is used.
            return CachedPrefix()
        self._kept.touch(match.slot)
        return CachedPrefix(match.count, Move(match.slot, slot, blocks))

    def _free_slot(self, blocks: int, match: Match | None) -> int:
        """The lowest slot that holds nothing, else the least recently used; of those with enough blocks."""
        owned = {owner.slot for owner in self._owners.values()}
        empty = [slot for slot in range(self.layout.total) if slot not in owned and slot not in self._kept]
        kept = [slot for slot, _ in self._kept.least_recent_first()]
        # The slot to copy from comes last: it would have to be its own source.
        kept.sort(key=lambda slot: match is not None and slot == match.slot)
        free = [*empty, *kept]
        assert free, "every slot has an owner"
        return next((slot for slot in free if self.layout.blocks_per_slot[slot] >= blocks), free[0])

    def _fill_holes(self) -> list[Move]:
        """Give the highest owners the lowest free slots; what was kept there changes places with them."""
        moves = []
        while self.rows > len(self):
            owner = max(self._owners.values(), key=lambda owner: owner.slot)
            hole = next(slot for slot in range(self.layout.total) if not self._owned(slot))
            moves += [Move(owner.slot, hole, owner.blocks), *self._exchanged(hole, owner.slot)]
            owner.slot = hole
        return moves

    def _exchanged(self, hole: int, slot: int) -> list[Move]:
        ids = self._kept.forget(hole)
        if ids is None:
            return []
        ids = ids[: self.layout.blocks_per_slot[slot] * self.block_size]
        self._kept.keep(slot, ids)
        return [Move(hole, slot, self._blocks(len(ids)))]

    def _sort(self) -> list[Move]:
        """Slots in order of need; what was kept in those that are taken is lost."""
        owners = sorted(self._owners.values(), key=lambda owner: (-owner.blocks, owner.slot))
        assert self.layout.fits(owner.blocks for owner in owners), "more is needed than there is"
        moves = []
        for slot, owner in enumerate(owners):
            self._kept.forget(slot)
            if owner.slot != slot:
                moves.append(Move(owner.slot, slot, owner.blocks))
                owner.slot = slot
        return moves

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.block_size)

    def _owned(self, slot: int) -> bool:
        return any(owner.slot == slot for owner in self._owners.values())
