r"""Single tokens as the API shows them beside their log-probabilities: as text and as bytes. Pure.

A token that is only a part of a character is shown as OpenAI's API shows it: `bytes:\xe2\x80`.
"""

from tokenizers import Tokenizer, pre_tokenizers

from deployments.detokenizer.token_decoder import BROKEN, BYTE
from deployments.messages import TokenLogprobs, TokenText

MIN_LOGPROB = -9999.0
"""Shown in place of lower log-probabilities, such as -inf, which JSON cannot hold."""


class TokenTexts:
    """The texts of one tokenizer's tokens. The text of each token id is computed once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, tuple[str, bytes | None]] = {}

    def of(self, token: int, logprob: float) -> TokenText:
        """Returns the token id `token` as it is shown, with its log-probability."""
        if (known := self._known.get(token)) is None:
            known = self._known[token] = self._text_and_bytes(token)
        return TokenText(*known, max(logprob, MIN_LOGPROB))

    def top(self, logprobs: TokenLogprobs) -> tuple[TokenText, ...]:
        """Returns the likeliest tokens of one position as they are shown, likeliest first."""
        return tuple(self.of(*each) for each in logprobs.top)

    def _text_and_bytes(self, token: int) -> tuple[str, bytes | None]:
        text = self._text(token)
        if BROKEN not in text:
            return text, text.encode()
        raw = _raw(self._tokenizer.id_to_token(token) or "")
        return (text, None) if raw is None else (_escaped(raw), raw)

    def _text(self, token: int) -> str:
        """Returns the text that `token` adds to another: decoders may drop a first token's white space."""
        once, twice = (self._tokenizer.decode([token] * n, skip_special_tokens=False) for n in (1, 2))
        return twice.removeprefix(once) if twice.startswith(once) else once


def _raw(piece: str) -> bytes | None:
    """Returns the bytes that a vocabulary entry spells; None if it does not spell bytes."""
    if match := BYTE.fullmatch(piece):
        return bytes.fromhex(match[1])
    values = [_BYTES.get(character) for character in piece]
    return None if None in values else bytes(value for value in values if value is not None)


def _escaped(raw: bytes) -> str:
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def _byte_characters() -> dict[str, int]:
    """Maps each character of a byte-level vocabulary to the byte that it stands for."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    characters = {chr(byte): byte for byte in printable}
    return characters | {chr(0x100 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_characters()
assert _BYTES.keys() == set(pre_tokenizers.ByteLevel.alphabet())
