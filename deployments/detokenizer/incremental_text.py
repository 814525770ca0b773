"""Token ids, one by one, as text: no delta ends inside a character, and the deltas join to the whole.

The whole is what the ids add to the prompt's text, since decoders may drop the white space with which a text
begins. A delta holds only what no later token can change. Pure; does not know stop strings or requests.
"""

from collections.abc import Sequence

from deployments.detokenizer.token_decoder import BROKEN, TokenDecoder


class IncrementalText:
    """The text of one generation."""

    def __init__(self, decoder: TokenDecoder, prompt: Sequence[int] = ()) -> None:
        self._decoder = decoder
        self._window = decoder.beginning(prompt)
        """Tokens that are decoded together; those before no longer matter."""
        self._shown = len(decoder.decode(self._window))
        """Characters of the window's text that are in deltas, or are the prompt's."""
        self._length = 0

    @property
    def length(self) -> int:
        """Characters so far, with whole ones that are held back."""
        return self._length + max(0, len(self._whole_characters()) - self._shown)

    def push(self, token: int) -> str:
        """The text that `token` settles; empty while a later one can still change it."""
        kind = self._decoder.kind(token)
        if not kind.shown:
            return ""
        self._window.append(token)
        if kind.byte:
            return ""
        text = self._decoder.decode(self._window)
        delta = self._release(text.removesuffix(BROKEN))
        # Alone, a token without a text could not show a decoder that the text has begun.
        if kind.text and not text.endswith(BROKEN):
            self._window, self._shown = [token], len(kind.text)
        return delta

    def flush(self) -> str:
        """The rest, once no more tokens come: a character that was never completed, as the whole shows it."""
        return self._release(self._decoder.decode(self._window))

    def _whole_characters(self) -> str:
        """Of the window's text."""
        for end in range(len(self._window), 0, -1):
            text = self._decoder.decode(self._window[:end])
            if not text.endswith(BROKEN):
                return text
        return ""

    def _release(self, text: str) -> str:
        delta = text[self._shown :]
        self._shown += len(delta)
        self._length += len(delta)
        return delta
