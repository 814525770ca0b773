"""What the deployments say to one another: frozen values, one type per hop.

ingress -> tokenizer      TextPrompt | TokenPrompt | ChatPrompt   ->  EncodedPrompt
ingress -> detokenizer    GenerateRequest                         ->  stream of TextChunk
detokenizer -> decoder    GenerateRequest                         ->  stream of TokenChunk
tokenizer, detokenizer -> decoder                                 ->  Servable
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from contract.manifest import GenerationDefaults, Manifest

Packed: TypeAlias = tuple[Any, ...]
"""A chunk as plain values, which travel between processes for a fraction of what an object costs."""


class FinishReason(StrEnum):
    """Why a generation ended, in the API's own words."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class ServableId:
    """One version of a model, as a model server has loaded it."""

    model: str
    version: int


@dataclass(frozen=True, slots=True)
class ServableDescription:
    """What a servable says of itself, fetched once from the model server."""

    id: ServableId
    manifest: Manifest
    tokenizer: bytes
    """The content of tokenizer.json."""


@dataclass(frozen=True, slots=True)
class TextPrompt:
    model: str
    text: str


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    model: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: str
    content: str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    model: str
    messages: tuple[ChatMessage, ...]


Prompt = TextPrompt | TokenPrompt | ChatPrompt


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt as token ids, with what the ingress needs to complete the request."""

    servable: ServableId
    ids: tuple[int, ...]
    context_length: int
    defaults: GenerationDefaults


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen. Temperature 0 is greedy, whatever the rest says."""

    temperature: float = 1.0
    top_k: int = 0
    """Only the k most likely; 0 is no limit."""
    top_p: float = 1.0
    """Only the most likely whose probabilities reach p together."""
    min_p: float = 0.0
    """Only those at least this fraction as likely as the likeliest."""
    seed: int = 0
    """64 bits; with a token's position it gives the random number for that token."""
    presence_penalty: float = 0.0
    """Taken from the logit of each token that the answer holds."""
    frequency_penalty: float = 0.0
    """The same, once for each time that the answer holds it."""
    repetition_penalty: float = 1.0
    """Divides the positive logits of tokens that prompt or answer hold, multiplies the others; 1 is none."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """(id, what is added to its logit), of different ids."""
    min_tokens: int = 0
    """No token ends the answer before it has as many."""
    stop_token_ids: tuple[int, ...] = ()
    """Each ends the answer and is not part of it."""
    allowed_token_ids: tuple[int, ...] | None = None
    """Only these; None: all."""
    logprobs: int | None = None
    """How many of the likeliest tokens are told, with their log-probabilities, beside each token's own."""

    @property
    def greedy(self) -> bool:
        return self.temperature == 0

    @property
    def edits(self) -> bool:
        """Single logits are changed, at least for a while."""
        return bool(self.penalised or self.logit_bias or self.min_tokens)

    @property
    def penalised(self) -> bool:
        """What the text holds changes the logits."""
        return bool(self.presence_penalty or self.frequency_penalty or self.repetition_penalty != 1)


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """One generation, complete: every default is filled in."""

    request_id: str
    servable: ServableId
    prompt_ids: tuple[int, ...]
    max_tokens: int
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop: tuple[str, ...] = ()
    """Texts that end the generation; they are not part of its text."""
    ignore_eos: bool = False


class TokenLogprobs(NamedTuple):
    """How likely a token was that was sampled, and which were the likeliest in its place."""

    logprob: float
    top: tuple[tuple[int, float], ...]
    """(id, log-probability), likeliest first."""


@dataclass(frozen=True, slots=True)
class TokenChunk:
    """Tokens that one or more steps gave a sequence; `finish` is set on the last chunk alone."""

    ids: tuple[int, ...]
    finish: FinishReason | None = None
    logprobs: tuple[TokenLogprobs, ...] | None = None
    """Of each of `ids`; None where the request does not ask."""
    cached: int = 0
    """On the first chunk: tokens of the prompt whose state was there already."""

    def packed(self) -> Packed:
        return self.ids, self.finish, self.logprobs, self.cached

    @staticmethod
    def unpacked(packed: Packed) -> "TokenChunk":
        ids, finish, logprobs, cached = packed
        told = None if logprobs is None else tuple(TokenLogprobs(*each) for each in logprobs)
        return TokenChunk(ids, finish and FinishReason(finish), told, cached)


class TokenText(NamedTuple):
    """One token, on its own, as the API shows it, and how likely it was."""

    text: str
    bytes: bytes | None
    """None where the tokenizer does not tell."""
    logprob: float


class TextLogprobs(NamedTuple):
    """As TokenLogprobs, in text."""

    token: TokenText
    offset: int
    """Characters of the answer before it."""
    top: tuple[TokenText, ...]


@dataclass(frozen=True, slots=True)
class TextChunk:
    """New text of a generation; `tokens` counts the tokens that were consumed for it."""

    text: str
    tokens: int
    finish: FinishReason | None = None
    logprobs: tuple[TextLogprobs, ...] | None = None
    """Of the tokens that were consumed, without one that ended it; None where the request does not ask."""
    cached: int = 0
    """On the first chunk: tokens of the prompt whose state was there already."""

    def packed(self) -> Packed:
        return self.text, self.tokens, self.finish, self.logprobs, self.cached

    @staticmethod
    def unpacked(packed: Packed) -> "TextChunk":
        text, tokens, finish, logprobs, cached = packed
        told = None if logprobs is None else tuple(_text_logprobs(*each) for each in logprobs)
        return TextChunk(text, tokens, finish and FinishReason(finish), told, cached)


def _text_logprobs(token: Packed, offset: int, top: tuple[Packed, ...]) -> TextLogprobs:
    return TextLogprobs(TokenText(*token), offset, tuple(TokenText(*each) for each in top))


@dataclass(frozen=True, slots=True)
class DecoderStatus:
    """What a decoder replica holds at one moment; all that it holds is zero when it is idle."""

    version: int
    """Of the model."""
    servers: int
    """Model servers that take calls."""
    waiting: int
    running: int
    states: int
    """Sequences with state in memory."""
    state_bytes: int
    """Reserved for running sequences."""
