"""The question of how much state fits at once: the scheduler asks it before it admits, and before every step.

The answers depend on the state layout: `explicit/admission.py`, `resident/admission.py`. Pure.
"""

from collections.abc import Iterable
from typing import Protocol

from deployments.decoder.sequence import TokenSequence


class Admission(Protocol):
    """Memory for the state of sequences."""

    def could_hold(self, sequence: TokenSequence) -> bool:
        """Whether the whole sequence fits where nothing else is held."""

    def admits(self, running: Iterable[TokenSequence], sequence: TokenSequence) -> bool:
        """Whether one more may begin."""

    def holds(self, running: Iterable[TokenSequence]) -> bool:
        """Whether all of them fit with their next token."""

    def used(self, running: Iterable[TokenSequence]) -> int:
        """Bytes."""

    def needed(self, sequence: TokenSequence) -> str:
        """How much the whole sequence takes of how much there is, in words."""
