"""How much state fits at once: what the scheduler asks before it admits, and before every step.

Pure; knows neither where state lies nor who computes with it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from contract.manifest import Pool
from deployments.decoder.ladder import Ladder
from deployments.decoder.sequence import Sequence


class Room(Protocol):
    """Memory for the state of sequences."""

    def could_hold(self, sequence: Sequence) -> bool:
        """Whether the whole sequence fits where nothing else is held."""

    def admits(self, running: Iterable[Sequence], sequence: Sequence) -> bool:
        """Whether one more may begin."""

    def holds(self, running: Iterable[Sequence]) -> bool:
        """Whether all of them fit with their next token."""

    def used(self, running: Iterable[Sequence]) -> int:
        """Bytes."""

    def needed(self, sequence: Sequence) -> str:
        """How much the whole sequence takes of how much there is, in words."""


@dataclass(frozen=True)
class Reserved:
    """Each sequence gets, as it is admitted, all that it may ever need."""

    total: int
    """Bytes."""
    state_bytes: Callable[[int], int]
    """Of so many tokens."""

    def could_hold(self, sequence: Sequence) -> bool:
        return self._size(sequence) <= self.total

    def admits(self, running: Iterable[Sequence], sequence: Sequence) -> bool:
        return self.used(running) + self._size(sequence) <= self.total

    def holds(self, running: Iterable[Sequence]) -> bool:
        return self.used(running) <= self.total

    def used(self, running: Iterable[Sequence]) -> int:
        return sum(map(self._size, running))

    def needed(self, sequence: Sequence) -> str:
        return f"{self._size(sequence)} bytes of state; this server holds at most {self.total}"

    def _size(self, sequence: Sequence) -> int:
        return self.state_bytes(sequence.capacity)


@dataclass(frozen=True)
class Blocks:
    """Each sequence has the blocks that its tokens fill; as they grow, one may have to give way."""

    pool: Pool
    ladder: Ladder

    def could_hold(self, sequence: Sequence) -> bool:
        return self.ladder.fits([self.pool.blocks_for(sequence.capacity)])

    def admits(self, running: Iterable[Sequence], sequence: Sequence) -> bool:
        # A block to grow into: else the newcomer might have to go again at once.
        grown = min(sequence.capacity, sequence.length + self.pool.block_size)
        return self.ladder.fits([*self._needs(running), self.pool.blocks_for(grown)])

    def holds(self, running: Iterable[Sequence]) -> bool:
        return self.ladder.fits(self._needs(running))

    def used(self, running: Iterable[Sequence]) -> int:
        return sum(self._needs(running)) * self.pool.bytes_per_block

    def needed(self, sequence: Sequence) -> str:
        most = sum(count > 0 for count in self.ladder.slots)
        blocks = self.pool.blocks_for(sequence.capacity)
        return f"{blocks} blocks of state; this server has {most} for one request"

    def _needs(self, running: Iterable[Sequence]) -> list[int]:
        return [self.pool.blocks_for(sequence.length) for sequence in running]
