"""Decodes token ids to text with one tokenizer, and classifies single ids for incremental decoding. Pure."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from tokenizers import Tokenizer

BROKEN = "\N{REPLACEMENT CHARACTER}"
"""What a decoder returns for bytes that are not a complete character."""
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
"""A token that stands for one byte, in vocabularies with byte fallback."""


class TokenKind(NamedTuple):
    """How one token id takes part in a text."""

    shown: bool
    """False for special tokens, and for ids that the tokenizer does not have."""
    byte: bool
    """Whether it stands for one byte. A run of such tokens is decoded as a whole: one invalid byte makes the
    whole run invalid."""
    text: str
    """The token decoded alone, as the beginning of a text."""


class TokenDecoder:
    """Decodes with one tokenizer. The kind of each token id is computed once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self._special = frozenset(token for token, text in added.items() if text.special)
        self._kinds: dict[int, TokenKind] = {}

    def decode(self, ids: Sequence[int]) -> str:
        """Decodes all of `ids`, leaving special tokens out."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def kind(self, token: int) -> TokenKind:
        """Returns the kind of a token id."""
        if (kind := self._kinds.get(token)) is None:
            kind = self._kinds[token] = self._classify(token)
        return kind

    def beginning(self, prompt: Sequence[int]) -> list[int]:
        """Returns the last id of `prompt` that decodes to complete characters, as a list; empty if none does.

        Ids decoded after it are decoded as the continuation of a text.
        """
        for token in reversed(prompt):
            _, byte, text = self.kind(token)
            if text and not byte and BROKEN not in text:
                return [token]
        return []

    def _classify(self, token: int) -> TokenKind:
        piece = self._tokenizer.id_to_token(token)
        if piece is None or token in self._special:
            return TokenKind(shown=False, byte=False, text="")
        text = self.decode([token])
        return TokenKind(True, bool(BYTE.fullmatch(piece)) and text != piece, text)
