"""The slot table: which sequence owns which slot of the model server's pool. Pure.

A decode call spans all slots up to the highest one with an owner, and lower slots may have more blocks. So
`arrange` says which slots to move when there are holes, or when an owner needs more blocks than its slot has.
A released slot stays in the prefix cache until another sequence needs it. A prompt with the same prefix
starts from a copy of an owned or cached slot, or takes a cached slot over.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.resident.prefix_cache import Match, PrefixCache, longest_match
from deployments.decoder.sequence import TokenIds


@dataclass(frozen=True)
class Move:
    """A copy of the first `blocks` blocks of slot `source` to slot `target`."""

    source: int
    target: int
    blocks: int


@dataclass(frozen=True)
class CachedPrefix:
    """The first `length` tokens of a new owner need no prefill, once `copy` (None: no copy) has been made."""

    length: int = 0
    copy: Move | None = None


@dataclass
class _Owner:
    """A sequence that owns a slot."""

    slot: int
    blocks: int
    """Blocks that it needs."""
    computed_ids: Callable[[], TokenIds]
    """Returns the token ids whose keys and values are in the slot."""


@dataclass
class SlotTable:
    """All slots of a pool: each is owned, cached (free, with a reusable prefix) or empty."""

    layout: BlockLayout
    block_size: int
    """Tokens in a block."""
    caching: bool = True
    """Whether released slots are cached, and prompts are looked up."""
    _owners: dict[str, _Owner] = field(default_factory=dict)
    _cache: PrefixCache = field(default_factory=PrefixCache)

    def __contains__(self, owner: str) -> bool:
        return owner in self._owners

    def __len__(self) -> int:
        """Number of owned slots."""
        return len(self._owners)

    def __getitem__(self, owner: str) -> int:
        return self._owners[owner].slot

    @property
    def rows(self) -> int:
        """How many slots, from the first on, a decode call must span to reach every owner."""
        return max((owner.slot for owner in self._owners.values()), default=-1) + 1

    def take(
        self, owner: str, blocks: int, computed_ids: Callable[[], TokenIds], prompt: TokenIds = ()
    ) -> CachedPrefix:
        """Gives a slot to a new owner that needs `blocks` blocks; looks up prefixes of `prompt`."""
        assert owner not in self._owners, f"{owner} has a slot already"
        match = longest_match(prompt, self._contents()) if self.caching and prompt else None
        slot = match.slot if match and self._may_take_over(match, blocks) else self._free_slot(blocks, match)
        self._cache.remove(slot)
        self._owners[owner] = _Owner(slot, blocks, computed_ids)
        return self._cached_prefix(match, slot)

    def require_blocks(self, owner: str, blocks: int) -> None:
        """Records that `owner` needs `blocks` blocks from now on; `arrange` provides them."""
        self._owners[owner].blocks = blocks

    @property
    def has_computed(self) -> bool:
        """Whether any owner has computed tokens in its slot."""
        return any(owner.computed_ids() for owner in self._owners.values())

    def release(self, owner: str, cache: bool = True) -> None:
        """Frees the slot of `owner`, if it has one, and caches its content if `cache`."""
        if (released := self._owners.pop(owner, None)) and cache and self.caching:
            self._cache.put(released.slot, released.computed_ids())

    def clear_cache(self) -> None:
        """Empties the prefix cache, because the content of the free slots is lost."""
        self._cache.clear()

    def clear(self) -> None:
        """Frees all slots and empties the prefix cache, because the content of the pool is lost."""
        self._owners.clear()
        self._cache.clear()

    def arrange(self) -> list[Move]:
        """Gives every owner a slot with enough blocks, and leaves no holes.

        Returns the copies to make, all in one `move` call, since a source may also be a target.
        """
        enough = all(
            owner.blocks <= self.layout.blocks_per_slot[owner.slot] for owner in self._owners.values()
        )
        return self._fill_holes() if enough else self._sort()

    def audit(self) -> None:
        """Asserts that each slot is held once, and lies inside the pool."""
        owned = [owner.slot for owner in self._owners.values()]
        cached = [slot for slot, _ in self._cache.least_recent_first()]
        held = (*owned, *cached)
        assert len(set(held)) == len(held), f"a slot is held twice: owned {owned}, cached {cached}"
        assert all(0 <= slot < self.layout.slot_count for slot in held)

    def _contents(self) -> Iterator[tuple[int, TokenIds]]:
        """The token ids in all owned and cached slots."""
        yield from ((owner.slot, owner.computed_ids()) for owner in self._owners.values())
        yield from self._cache.least_recent_first()

    def _may_take_over(self, match: Match, blocks: int) -> bool:
        """Whether the prompt shares at least half of a cached slot; else the slot is kept for others."""
        if match.slot not in self._cache or blocks > self.layout.blocks_per_slot[match.slot]:
            return False
        return 2 * match.count >= len(self._cache[match.slot])

    def _cached_prefix(self, match: Match | None, slot: int) -> CachedPrefix:
        if match is None:
            return CachedPrefix()
        if match.slot == slot:
            return CachedPrefix(match.count)
        blocks = self._blocks(match.count)
        if blocks > self.layout.blocks_per_slot[slot]:
            # The copy does not fit: `arrange` will exchange the slot for one with more blocks.
            return CachedPrefix()
        self._cache.touch(match.slot)
        return CachedPrefix(match.count, Move(match.slot, slot, blocks))

    def _free_slot(self, blocks: int, match: Match | None) -> int:
        """The lowest empty slot, else the least recently used cached one; with enough blocks if possible."""
        owned = {owner.slot for owner in self._owners.values()}
        empty = [
            slot for slot in range(self.layout.slot_count) if slot not in owned and slot not in self._cache
        ]
        cached = [slot for slot, _ in self._cache.least_recent_first()]
        # The slot to copy from comes last, so that it stays cached while another one is free.
        cached.sort(key=lambda slot: match is not None and slot == match.slot)
        free = [*empty, *cached]
        assert free, "every slot has an owner"
        return next((slot for slot in free if self.layout.blocks_per_slot[slot] >= blocks), free[0])

    def _fill_holes(self) -> list[Move]:
        """Moves the highest owners to the lowest free slots; a cached slot there is swapped."""
        moves = []
        while self.rows > len(self):
            owner = max(self._owners.values(), key=lambda owner: owner.slot)
            hole = next(slot for slot in range(self.layout.slot_count) if not self._owned(slot))
            moves += [Move(owner.slot, hole, owner.blocks), *self._swap_cached(hole, owner.slot)]
            owner.slot = hole
        return moves

    def _swap_cached(self, hole: int, slot: int) -> list[Move]:
        """Moves the cached content of `hole` to `slot`, as far as it fits."""
        ids = self._cache.remove(hole)
        if ids is None:
            return []
        ids = ids[: self.layout.blocks_per_slot[slot] * self.block_size]
        self._cache.put(slot, ids)
        return [Move(hole, slot, self._blocks(len(ids)))]

    def _sort(self) -> list[Move]:
        """Orders the owners by need; the cached content of slots that they take is lost."""
        owners = sorted(self._owners.values(), key=lambda owner: (-owner.blocks, owner.slot))
        assert self.layout.fits(owner.blocks for owner in owners), (
            "the owners need more blocks than there are"
        )
        moves = []
        for slot, owner in enumerate(owners):
            self._cache.remove(slot)
            if owner.slot != slot:
                moves.append(Move(owner.slot, slot, owner.blocks))
                owner.slot = slot
        return moves

    def _blocks(self, tokens: int) -> int:
        return -(-tokens // self.block_size)

    def _owned(self, slot: int) -> bool:
        return any(owner.slot == slot for owner in self._owners.values())
