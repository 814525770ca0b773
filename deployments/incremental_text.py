"""Token ids, one by one, as text: no delta ends inside a character, and the deltas join to the whole.

Pure; does not know stop strings or requests.
"""

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream


class IncrementalText:
    """The text of one generation."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._released = 0

    @property
    def length(self) -> int:
        """Characters so far."""
        return self._released

    def push(self, token: int) -> str:
        """The text that `token` completes; empty while a character is incomplete."""
        self._ids.append(token)
        text = self._stream.step(self._tokenizer, token) or ""
        self._released += len(text)
        return text

    def flush(self) -> str:
        """The rest, once no more tokens come: a character that was never completed, as the whole shows it."""
        whole: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        rest = whole[self._released :]
        self._released = len(whole)
        return rest
