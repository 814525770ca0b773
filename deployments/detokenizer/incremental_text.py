"""Incremental decoding: token ids, one by one, to pieces of text (deltas). Pure.

No delta ends inside a character, a delta holds only text that no later token can change, and the deltas join
to the text of all ids. That text is decoded as a continuation of the prompt, since decoders may drop white
space at the beginning of a text.
"""

from collections.abc import Sequence

from deployments.detokenizer.token_decoder import BROKEN, TokenDecoder


class IncrementalText:
    """The text of one generation, which continues the token ids `prompt`."""

    def __init__(self, decoder: TokenDecoder, prompt: Sequence[int] = ()) -> None:
        self._decoder = decoder
        self._window = decoder.beginning(prompt)
        """Token ids that are decoded together; earlier ids no longer change the text."""
        self._shown = len(decoder.decode(self._window))
        """Characters of the window's text that were returned already, or belong to the prompt."""
        self._length = 0

    @property
    def length(self) -> int:
        """Characters so far, including complete ones that are still held back."""
        return self._length + max(0, len(self._whole_characters()) - self._shown)

    def push(self, token: int) -> str:
        """Adds a token id and returns the new text; empty while a later token can still change it."""
        kind = self._decoder.kind(token)
        if not kind.shown:
            return ""
        self._window.append(token)
        if kind.byte:
            return ""
        text = self._decoder.decode(self._window)
        delta = self._release(text.removesuffix(BROKEN))
        # The window must begin with a token that has text, so that the decoder sees that the text has begun.
        if kind.text and not text.endswith(BROKEN):
            self._window, self._shown = [token], len(kind.text)
        return delta

    def flush(self) -> str:
        """Returns the rest after the last token; an incomplete character comes as the decoder shows it."""
        return self._release(self._decoder.decode(self._window))

    def _whole_characters(self) -> str:
        """Returns the window's text up to its last complete character."""
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
