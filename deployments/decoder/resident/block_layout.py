"""How many slots of a pool have each block. Few sequences use the whole context, so later blocks are rarer.

    block 0   slot 0  slot 1  slot 2  slot 3
    block 1   slot 0  slot 1
    block 2   slot 0

Whether sequences fit together depends only on how many blocks each of them needs: those that need most go to
the lowest slots. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class BlockLayout:
    """A pool in which block b exists in the first `slots[b]` slots."""

    slots: tuple[int, ...]

    def __post_init__(self) -> None:
        assert self.slots, "a pool has blocks"
        assert self.slots[0] >= 1, "a pool has slots"
        assert all(a >= b >= 0 for a, b in zip(self.slots, self.slots[1:], strict=False)), self.slots

    @staticmethod
    def of(total_blocks: int, max_slots: int, blocks: int) -> "BlockLayout":
        """Returns the layout of at most `total_blocks` blocks in at most `max_slots` slots.

        `blocks` is the number of blocks of a whole context. If all slots can have all of them, they do. Else
        about 1 / (b + 1) of the slots have block b. The first slot has as many blocks as there can be.
        """
        assert total_blocks >= 1
        if total_blocks < blocks:
            return BlockLayout((1,) * total_blocks + (0,) * (blocks - total_blocks))
        # Binary search for the largest scale that fits.
        low, high = 1, max_slots * blocks
        while low < high:
            middle = (low + high + 1) // 2
            fits = sum(_slots(middle, max_slots, blocks)) <= total_blocks
            low, high = (middle, high) if fits else (low, middle - 1)
        return BlockLayout(tuple(_slots(low, max_slots, blocks)))

    @property
    def slot_count(self) -> int:
        """Number of slots."""
        return self.slots[0]

    @cached_property
    def blocks_per_slot(self) -> tuple[int, ...]:
        """How many blocks each slot has; never more than the slot before it."""
        return tuple(sum(slot < count for count in self.slots) for slot in range(self.slot_count))

    def fits(self, needs: Iterable[int]) -> bool:
        """Returns whether sequences that need so many blocks each fit at the same time."""
        largest_first = sorted(needs, reverse=True)
        if len(largest_first) > self.slot_count:
            return False
        return all(need <= blocks for need, blocks in zip(largest_first, self.blocks_per_slot, strict=False))


def _slots(scale: int, max_slots: int, blocks: int) -> list[int]:
    return [min(max_slots, max(1, scale // (block + 1))) for block in range(blocks)]
