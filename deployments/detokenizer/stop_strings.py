"""Stop strings: where a text that arrives in pieces must end. Pure.

The first stop string to be complete ends the text; of two that become complete with the same character, the
longer. So the result does not depend on how the text was cut into pieces. Text that could still become a stop
string is held back. Does not know tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Released:
    """Text that is safe to show; `stopped` where a stop string followed it."""

    text: str
    stopped: bool


class StopStrings:
    """Watches one text for `stops`, none of which is empty."""

    def __init__(self, stops: Sequence[str]) -> None:
        assert all(stops), "an empty stop string would end every text"
        self._stops = tuple(stops)
        self._longest = max((len(stop) for stop in stops), default=0)
        self._held = ""

    def push(self, text: str) -> Released:
        """The next piece; not to be called once stopped."""
        text = self._held + text
        if (start := self._find(text)) is not None:
            self._held = ""
            return Released(text[:start], stopped=True)
        keep = self._beginning_of_stop(text)
        self._held = text[keep:]
        return Released(text[:keep], stopped=False)

    def flush(self) -> str:
        """What is held back, once no more text comes."""
        held, self._held = self._held, ""
        return held

    def _find(self, text: str) -> int | None:
        found = ((text.find(stop), len(stop)) for stop in self._stops)
        spans = [(start + length, start) for start, length in found if start >= 0]
        return min(spans)[1] if spans else None

    def _beginning_of_stop(self, text: str) -> int:
        """Where the longest end of `text` begins that a stop string begins with; its length if none does."""
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            tail = text[start:]
            if any(stop.startswith(tail) for stop in self._stops):
                return start
        return len(text)
