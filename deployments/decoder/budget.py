"""Bytes of state that sequences may hold: reserved in full at admission, so that none runs out later."""

from dataclasses import dataclass, field


@dataclass
class StateBudget:
    """A fixed number of bytes, handed out to owners by name; free + reserved = total."""

    total: int
    _reserved: dict[str, int] = field(default_factory=dict)
    _used: int = 0

    @property
    def free(self) -> int:
        return self.total - self._used

    @property
    def owners(self) -> frozenset[str]:
        return frozenset(self._reserved)

    def fits(self, size: int) -> bool:
        return size <= self.free

    def reserve(self, owner: str, size: int) -> None:
        assert owner not in self._reserved, f"{owner} has a reservation"
        assert self.fits(size), f"{size} bytes for {owner}, {self.free} free"
        self._reserved[owner] = size
        self._used += size

    def release(self, owner: str) -> None:
        self._used -= self._reserved.pop(owner)

    def audit(self) -> None:
        """Assert that the books balance."""
        held = sum(self._reserved.values())
        assert held == self._used, f"{held} bytes are reserved, {self._used} counted"
        assert 0 <= self.free <= self.total, f"{self.free} of {self.total} bytes are free"
