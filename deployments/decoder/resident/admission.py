"""Admission by blocks, for resident state: a sequence holds only the blocks that its tokens fill. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from contract.manifest import Pool
from deployments.decoder.resident.block_layout import BlockLayout
from deployments.decoder.sequence import TokenSequence


@dataclass(frozen=True)
class BlockAdmission:
    """Admits sequences while their blocks fit the pool; as they grow, the youngest may be preempted."""

    pool: Pool
    layout: BlockLayout

    def fits_alone(self, sequence: TokenSequence) -> bool:
        """Returns whether some slot has all the blocks that `sequence` may need."""
        return self.layout.fits([self.pool.blocks_for(sequence.capacity)])

    def can_admit(self, running: Iterable[TokenSequence], sequence: TokenSequence) -> bool:
        """Returns whether `sequence` fits beside `running`, with one block to grow into."""
        # With a block to grow into, so that the new sequence is not preempted at once.
        grown = min(sequence.capacity, sequence.length + self.pool.block_size)
        return self.layout.fits([*self._needs(running), self.pool.blocks_for(grown)])

    def can_step(self, running: Iterable[TokenSequence]) -> bool:
        """Returns whether the blocks suffice for the next token of each of `running`."""
        return self.layout.fits(self._needs(running))

    def used_bytes(self, running: Iterable[TokenSequence]) -> int:
        """Returns the bytes of the blocks that `running` fill."""
        return sum(self._needs(running)) * self.pool.bytes_per_block

    def describe_need(self, sequence: TokenSequence) -> str:
        """Returns the blocks that `sequence` needs, and how many there are, for an error message."""
        available = sum(count > 0 for count in self.layout.slots)
        blocks = self.pool.blocks_for(sequence.capacity)
        return f"{blocks} blocks of state; this server has {available} for one request"

    def _needs(self, running: Iterable[TokenSequence]) -> list[int]:
        """Blocks that each running sequence needs."""
        return [self.pool.blocks_for(sequence.length) for sequence in running]
