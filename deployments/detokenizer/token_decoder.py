"""A tokenizer's way from ids to text, and what has to be known of single ids for it. Pure.

Does not know generations.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Tokenizer

BROKEN = "\N{REPLACEMENT CHARACTER}"
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
"""A token for a byte, in vocabularies that fall back on these."""


class TokenKinds(NamedTuple):
    """Of one id."""

    shown: bool
    """Special tokens are not, nor are ids that the tokenizer does not have."""
    byte: bool
    """Runs of them are decoded together: where one breaks a character, all of the run is broken."""
    text: str
    """Decoded alone, as the beginning of a text."""


class TokenDecoder:
    """Of one tokenizer; each token is looked at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self._special = frozenset(token for token, text in added.items() if text.special)
        self._kinds: dict[int, TokenKinds] = {}

    def decode(self, ids: Sequence[int]) -> str:
        """All of `ids`, without special tokens."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def kind(self, token: int) -> TokenKinds:
        if (kind := self._kinds.get(token)) is None:
            kind = self._kinds[token] = self._look(token)
        return kind

    def beginning(self, prompt: Sequence[int]) -> list[int]:
        """The last token of `prompt` that is whole characters, with which a text has begun; or nothing."""
        for token in reversed(prompt):
            _, byte, text = self.kind(token)
            if text and not byte and BROKEN not in text:
                return [token]
        return []

    def _look(self, token: int) -> TokenKinds:
        piece = self._tokenizer.id_to_token(token)
        if piece is None or token in self._special:
            return TokenKinds(shown=False, byte=False, text="")
        text = self.decode([token])
        return TokenKinds(True, bool(BYTE.fullmatch(piece)) and text != piece, text)
