"""Admission by bytes, for explicit state: each sequence reserves its full size when admitted. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deployments.decoder.sequence import TokenSequence


@dataclass(frozen=True)
class ReservedAdmission:
    """Reserves at admission all the bytes that a sequence may ever need, so that none is preempted."""

    total: int
    """Bytes for the state of all sequences."""
    state_bytes: Callable[[int], int]
    """Returns the size in bytes of the state of a sequence with this many tokens."""

    def fits_alone(self, sequence: TokenSequence) -> bool:
        """Returns whether the full size of `sequence` is within the total."""
        return self._size(sequence) <= self.total

    def can_admit(self, running: Iterable[TokenSequence], sequence: TokenSequence) -> bool:
        """Returns whether the full size of `sequence` fits beside those of `running`."""
        return self.used_bytes(running) + self._size(sequence) <= self.total

    def can_step(self, running: Iterable[TokenSequence]) -> bool:
        """Returns whether all reservations fit; they do from admission on."""
        return self.used_bytes(running) <= self.total

    def used_bytes(self, running: Iterable[TokenSequence]) -> int:
        """Returns the bytes that are reserved for `running`."""
        return sum(map(self._size, running))

    def describe_need(self, sequence: TokenSequence) -> str:
        """Returns the bytes that `sequence` needs, and how many there are, for an error message."""
        return f"{self._size(sequence)} bytes of state; this server holds at most {self.total}"

    def _size(self, sequence: TokenSequence) -> int:
        return self.state_bytes(sequence.capacity)
