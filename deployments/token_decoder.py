"""A tokenizer's way from ids to text, and what has to be known of single ids for it. Pure.

Does not know generations.
"""

import re
from collections.abc import Sequence

from tokenizers import Tokenizer

BROKEN = "\N{REPLACEMENT CHARACTER}"
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
"""A token for a byte, in vocabularies that fall back on these."""


class TokenDecoder:
    """Of one tokenizer; each token is looked at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self._special = frozenset(token for token, text in added.items() if text.special)
        self._kinds: dict[int, tuple[bool, bool]] = {}

    def decode(self, ids: Sequence[int]) -> str:
        """All of `ids`, without special tokens."""
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text

    def shown(self, token: int) -> bool:
        """Special tokens are not, nor are ids that the tokenizer does not have."""
        return self._kind(token)[0]

    def is_byte(self, token: int) -> bool:
        """Runs of them are decoded together: where one breaks a character, all of the run is broken."""
        return self._kind(token)[1]

    def beginning(self, prompt: Sequence[int]) -> list[int]:
        """The last token of `prompt` that is whole characters, with which a text has begun; or nothing."""
        for token in reversed(prompt):
            if self.shown(token) and not self.is_byte(token):
                text = self.decode([token])
                if text and BROKEN not in text:
                    return [token]
        return []

    def _kind(self, token: int) -> tuple[bool, bool]:
        if (kind := self._kinds.get(token)) is None:
            kind = self._kinds[token] = self._look(token)
        return kind

    def _look(self, token: int) -> tuple[bool, bool]:
        piece = self._tokenizer.id_to_token(token)
        if piece is None or token in self._special:
            return False, False
        return True, bool(BYTE.fullmatch(piece)) and self.decode([token]) != piece
