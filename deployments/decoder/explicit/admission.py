"""Admission of the explicit layout: by bytes, reserved in full when a sequence is admitted. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deployments.decoder.sequence import TokenSequence


@dataclass(frozen=True)
class ReservedAdmission:
    """Each sequence gets, as it is admitted, all that it may ever need."""

    total: int
    """Bytes."""
    state_bytes: Callable[[int], int]
    """Of so many tokens."""

    def could_hold(self, sequence: TokenSequence) -> bool:
        return self._size(sequence) <= self.total

    def admits(self, running: Iterable[TokenSequence], sequence: TokenSequence) -> bool:
        return self.used(running) + self._size(sequence) <= self.total

    def holds(self, running: Iterable[TokenSequence]) -> bool:
        return self.used(running) <= self.total

    def used(self, running: Iterable[TokenSequence]) -> int:
        return sum(map(self._size, running))

    def needed(self, sequence: TokenSequence) -> str:
        return f"{self._size(sequence)} bytes of state; this server holds at most {self.total}"

    def _size(self, sequence: TokenSequence) -> int:
        return self.state_bytes(sequence.capacity)
