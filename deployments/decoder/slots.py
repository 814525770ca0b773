"""Which slot of a model server's pool belongs to which sequence. Pure; knows no server.

A decode call reads the first slots up to the highest one in use, so owners are kept low: the lowest free slot
is given out first, and `compact` says what to move where once there are holes.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Move:
    source: int
    target: int


@dataclass
class SlotTable:
    """`total` slots; free + owned = total."""

    total: int
    _owners: dict[str, int] = field(default_factory=dict)

    def __contains__(self, owner: str) -> bool:
        return owner in self._owners

    def __len__(self) -> int:
        """Slots that are owned."""
        return len(self._owners)

    def __getitem__(self, owner: str) -> int:
        return self._owners[owner]

    @property
    def rows(self) -> int:
        """How many of the first slots a call must span to reach every owner."""
        return max(self._owners.values(), default=-1) + 1

    def take(self, owner: str) -> int:
        """The lowest free slot, now `owner`'s."""
        assert owner not in self._owners, f"{owner} has a slot"
        slot = self._free()[0]
        self._owners[owner] = slot
        return slot

    def release(self, owner: str) -> None:
        """Free the owner's slot, if it has one."""
        self._owners.pop(owner, None)

    def clear(self) -> None:
        self._owners.clear()

    def compact(self) -> list[Move]:
        """Give the highest owners the lowest free slots, until there are no holes; what has to be copied."""
        moves = []
        while self.rows > len(self):
            owner = max(self._owners, key=self._owners.__getitem__)
            move = Move(self._owners[owner], self._free()[0])
            self._owners[owner] = move.target
            moves.append(move)
        return moves

    def audit(self) -> None:
        """Assert that no slot has two owners and none lies outside the pool."""
        slots = list(self._owners.values())
        assert len(set(slots)) == len(slots), f"a slot has two owners: {self._owners}"
        assert all(0 <= slot < self.total for slot in slots)

    def _free(self) -> list[int]:
        taken = set(self._owners.values())
        return [slot for slot in range(self.total) if slot not in taken]
