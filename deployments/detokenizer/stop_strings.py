"""Stop strings: finds where a text that arrives in pieces must end. Pure.

The stop string that is complete first ends the text; if two are complete with the same character, the longer
one does. So the result does not depend on how the text was cut into pieces. Text that may be the beginning of
a stop string is held back.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Released:
    """Text that can be shown; `stopped` is true if a stop string followed it."""

    text: str
    stopped: bool


class StopStrings:
    """Searches one text for any of the strings `stops`; an empty one is not allowed."""

    def __init__(self, stops: Sequence[str]) -> None:
        assert all(stops), "an empty stop string would end every text"
        self._stops = tuple(stops)
        self._longest = max((len(stop) for stop in stops), default=0)
        self._held = ""

    def push(self, text: str) -> Released:
        """Adds the next piece and returns the text that can be shown. Must not be called once stopped."""
        text = self._held + text
        if (start := self._find(text)) is not None:
            self._held = ""
            return Released(text[:start], stopped=True)
        keep = self._beginning_of_stop(text)
        self._held = text[keep:]
        return Released(text[:keep], stopped=False)

    def flush(self) -> str:
        """Returns the text that is held back, after the last piece."""
        held, self._held = self._held, ""
        return held

    def _find(self, text: str) -> int | None:
        found = ((text.find(stop), len(stop)) for stop in self._stops)
        spans = [(start + length, start) for start, length in found if start >= 0]
        return min(spans)[1] if spans else None

    def _beginning_of_stop(self, text: str) -> int:
        """Returns the start of the longest suffix of `text` that is a prefix of a stop string.

        If there is none, returns the length of `text`.
        """
        for start in range(max(0, len(text) - self._longest + 1), len(text)):
            tail = text[start:]
            if any(stop.startswith(tail) for stop in self._stops):
                return start
        return len(text)
