"""Single tokens as the API shows them beside their probabilities: a text, and the bytes that it stands for.

A token that is a part of a character has no text; it is shown as OpenAI's API does, `bytes:\xe2\x80`. Pure;
does not know generations.
"""

from tokenizers import Tokenizer, pre_tokenizers

from deployments.detokenizer.token_decoder import BROKEN, BYTE
from deployments.messages import TokenLogprobs, TokenText

LEAST = -9999.0
"""Stands for an impossible token's log-probability: JSON has no -inf."""


class TokenTexts:
    """Of one tokenizer; each token is looked at once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, tuple[str, bytes | None]] = {}

    def of(self, token: int, logprob: float) -> TokenText:
        """`token` as it is shown."""
        if (known := self._known.get(token)) is None:
            known = self._known[token] = self._look(token)
        return TokenText(*known, max(logprob, LEAST))

    def top(self, logprobs: TokenLogprobs) -> tuple[TokenText, ...]:
        """The likeliest tokens."""
        return tuple(self.of(*each) for each in logprobs.top)

    def _look(self, token: int) -> tuple[str, bytes | None]:
        text = self._text(token)
        if BROKEN not in text:
            return text, text.encode()
        raw = _raw(self._tokenizer.id_to_token(token) or "")
        return (text, None) if raw is None else (_escaped(raw), raw)

    def _text(self, token: int) -> str:
        """What it adds to a text that has begun: decoders may drop a first token's white space."""
        once, twice = (self._tokenizer.decode([token] * n, skip_special_tokens=False) for n in (1, 2))
        return twice.removeprefix(once) if twice.startswith(once) else once


def _raw(piece: str) -> bytes | None:
    """The bytes of a vocabulary's entry, where it is written as bytes."""
    if match := BYTE.fullmatch(piece):
        return bytes.fromhex(match[1])
    values = [_BYTES.get(character) for character in piece]
    return None if None in values else bytes(value for value in values if value is not None)


def _escaped(raw: bytes) -> str:
    return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


def _byte_characters() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    characters = {chr(byte): byte for byte in printable}
    return characters | {chr(0x100 + place): byte for place, byte in enumerate(others)}


_BYTES = _byte_characters()
assert _BYTES.keys() == set(pre_tokenizers.ByteLevel.alphabet())
