"""How many slots of a pool have each block: few sessions use their whole context. Pure.

    block 0   slot 0  slot 1  slot 2  slot 3
    block 1   slot 0  slot 1
    block 2   slot 0

Which sessions fit together follows from how many blocks each of them needs, and from nothing else: those that
need most go to the lowest slots.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class BlockLayout:
    """The first `slots[b]` slots have block b."""

    slots: tuple[int, ...]

    def __post_init__(self) -> None:
        assert self.slots, "a pool has blocks"
        assert self.slots[0] >= 1, "a pool has slots"
        assert all(a >= b >= 0 for a, b in zip(self.slots, self.slots[1:], strict=False)), self.slots

    @staticmethod
    def of(total: int, most: int, blocks: int) -> "BlockLayout":
        """At most `total` blocks in all, for at most `most` sessions of up to `blocks` blocks.

        All sessions get all blocks where there is room for that; else block b goes to about 1 / (b + 1) of
        them. One gets as many as there can be.
        """
        assert total >= 1
        if total < blocks:
            return BlockLayout((1,) * total + (0,) * (blocks - total))
        low, high = 1, most * blocks
        while low < high:
            middle = (low + high + 1) // 2
            fits = sum(_slots(middle, most, blocks)) <= total
            low, high = (middle, high) if fits else (low, middle - 1)
        return BlockLayout(tuple(_slots(low, most, blocks)))

    @property
    def total(self) -> int:
        """Slots."""
        return self.slots[0]

    @cached_property
    def blocks_per_slot(self) -> tuple[int, ...]:
        """How many blocks each slot has."""
        return tuple(sum(slot < count for count in self.slots) for slot in range(self.total))

    def fits(self, needs: Iterable[int]) -> bool:
        """Whether sessions that need so many blocks each fit all at once."""
        largest_first = sorted(needs, reverse=True)
        if len(largest_first) > self.total:
            return False
        return all(need <= depth for need, depth in zip(largest_first, self.blocks_per_slot, strict=False))


def _slots(scale: int, most: int, blocks: int) -> list[int]:
    return [min(most, max(1, scale // (block + 1))) for block in range(blocks)]
