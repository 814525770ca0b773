"""Admission control: whether the state of sequences fits into memory.

The scheduler asks before it admits a sequence and before every step. Each state layout has its own answer:
`explicit/admission.py` and `resident/admission.py`. Pure.
"""

from collections.abc import Iterable
from typing import Protocol

from deployments.decoder.sequence import TokenSequence


class Admission(Protocol):
    """The memory for the state of sequences."""

    def fits_alone(self, sequence: TokenSequence) -> bool:
        """Returns whether the sequence fits at its full length when no other is running."""

    def can_admit(self, running: Iterable[TokenSequence], sequence: TokenSequence) -> bool:
        """Returns whether `sequence` can be admitted beside the running ones."""

    def can_step(self, running: Iterable[TokenSequence]) -> bool:
        """Returns whether all running sequences fit together with the next token of each."""

    def used_bytes(self, running: Iterable[TokenSequence]) -> int:
        """Returns the bytes that the running sequences occupy or have reserved."""

    def describe_need(self, sequence: TokenSequence) -> str:
        """Returns how much the sequence needs at its full length, and how much there is, for a message."""
