"""The messages between deployments: frozen values, one type per hop. This is the vocabulary of the system.

ingress -> tokenizer      TextPrompt | TokenPrompt | ChatPrompt   ->  EncodedPrompt
ingress -> detokenizer    GenerateRequest                         ->  stream of TextChunk
detokenizer -> decoder    GenerateRequest                         ->  stream of TokenChunk
tokenizer, detokenizer -> decoder                                 ->  ServableDescription
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

from contract.manifest import GenerationDefaults, Manifest

Packed: TypeAlias = tuple[Any, ...]
"""A chunk as plain values, which cost much less to send between processes than an object."""

LogitBias: TypeAlias = tuple[tuple[int, float], ...]
"""Pairs (token id, value added to its logit), each id at most once."""


class FinishReason(StrEnum):
    """Why a generation ended, as the API spells it."""

    STOP = "stop"
    """A stop string, a stop token id, or the model's end-of-sequence token."""
    LENGTH = "length"
    """The answer has `max_tokens` tokens."""


@dataclass(frozen=True, slots=True)
class ServableId:
    """One version of one model."""

    model: str
    """The name that requests give in `model`."""
    version: int
    """The version number in the model server."""


@dataclass(frozen=True, slots=True)
class ServableDescription:
    """The description that a servable carries, fetched from the model server by the decoder."""

    id: ServableId
    manifest: Manifest
    tokenizer: bytes
    """The content of the file tokenizer.json."""


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """A prompt given as text. Special tokens are added as the model's tokenizer does."""

    model: str
    text: str


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """A prompt given as token ids, which are used as they are."""

    model: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat."""

    role: str
    """One of system, user and assistant."""
    content: str
    name: str | None = None
    """The name of the message's author, for templates that show it."""


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A prompt given as a chat; the model's chat template turns it into text."""

    model: str
    messages: tuple[ChatMessage, ...]


Prompt = TextPrompt | TokenPrompt | ChatPrompt
"""A prompt as the client gave it."""


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt as token ids, with the limits and defaults that the ingress completes the request with."""

    servable: ServableId
    """The version whose tokenizer encoded the prompt."""
    ids: tuple[int, ...]
    """The token ids; at least one, and fewer than `context_length`."""
    context_length: int
    """The most tokens that prompt and answer may have together."""
    defaults: GenerationDefaults
    """The model's own values for parameters that the client leaves out."""


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How the next token is chosen from the logits."""

    temperature: float = 1.0
    """Divides the logits. 0: the likeliest token is taken (greedy), and the three filters have no effect."""
    top_k: int = 0
    """Keeps only the k likeliest tokens; 0: no limit."""
    top_p: float = 1.0
    """Keeps only the likeliest tokens whose probabilities sum up to p; 1: no limit."""
    min_p: float = 0.0
    """Keeps only tokens whose probability is at least this fraction of the highest; 0: no limit."""
    seed: int = 0
    """An unsigned 64-bit number; seed and position determine the random number that chooses a token."""
    presence_penalty: float = 0.0
    """Subtracted from the logit of each token that occurs in the answer."""
    frequency_penalty: float = 0.0
    """Subtracted from the logit of a token once for each occurrence in the answer."""
    repetition_penalty: float = 1.0
    """Divides positive and multiplies negative logits of tokens in the prompt or the answer; 1: no effect."""
    logit_bias: LogitBias = ()
    min_tokens: int = 0
    """Tokens that end the answer are excluded until it has this many tokens."""
    stop_token_ids: tuple[int, ...] = ()
    """Token ids that end the answer and are not part of its text."""
    allowed_token_ids: tuple[int, ...] | None = None
    """The only token ids that may be chosen; None: all."""
    logprobs: int | None = None
    """None: no log-probabilities. n: for each token its own, and those of the n likeliest tokens."""

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0

    @property
    def edits(self) -> bool:
        """Whether logits of single tokens are changed, in some steps at least."""
        return bool(self.penalised or self.logit_bias or self.min_tokens)

    @property
    def penalised(self) -> bool:
        """Whether a token's logit depends on the tokens that came before."""
        return bool(self.presence_penalty or self.frequency_penalty or self.repetition_penalty != 1)


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """The request for one generation, complete: all defaults are filled in."""

    request_id: str
    """The id of the answer that the client sees. Not necessarily unique."""
    servable: ServableId
    """The version that must answer; a decoder that serves another raises ServableReplaced."""
    prompt_ids: tuple[int, ...]
    max_tokens: int
    """The most tokens that the answer may have."""
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop: tuple[str, ...] = ()
    """Stop strings: texts that end the answer and are not part of it."""
    ignore_eos: bool = False
    """Whether the model's end-of-sequence tokens do not end the answer."""


class TokenLogprobs(NamedTuple):
    """The log-probabilities of a sampled token and of the likeliest tokens at its position."""

    logprob: float
    """Natural logarithm."""
    top: tuple[tuple[int, float], ...]
    """Pairs (token id, log-probability), likeliest first."""


@dataclass(frozen=True, slots=True)
class TokenChunk:
    """The tokens that one or more decode steps added to a sequence."""

    ids: tuple[int, ...]
    """The token ids, including one that ended the sequence."""
    finish: FinishReason | None = None
    """Set on the last chunk only."""
    logprobs: tuple[TokenLogprobs, ...] | None = None
    """One for each of `ids`; None if the request does not ask for them."""
    cached: int = 0
    """On the first chunk: how many tokens of the prompt had their state in the prefix cache."""

    def packed(self) -> Packed:
        """Returns the chunk as plain values."""
        return self.ids, self.finish, self.logprobs, self.cached

    @staticmethod
    def unpacked(packed: Packed) -> "TokenChunk":
        """Builds the chunk from the values that `packed` returned."""
        ids, finish, plain_logprobs, cached = packed
        logprobs = None if plain_logprobs is None else tuple(TokenLogprobs(*each) for each in plain_logprobs)
        return TokenChunk(ids, finish and FinishReason(finish), logprobs, cached)


class TokenText(NamedTuple):
    """One token as the API shows it beside its log-probability."""

    text: str
    bytes: bytes | None
    """UTF-8, or a part of a character; None if the tokenizer does not give the bytes."""
    logprob: float
    """Natural logarithm; at least -9999."""


class TextLogprobs(NamedTuple):
    """The same as TokenLogprobs, with token ids replaced by their texts."""

    token: TokenText
    offset: int
    """How many characters of the answer come before the token."""
    top: tuple[TokenText, ...]
    """The likeliest tokens, likeliest first."""


@dataclass(frozen=True, slots=True)
class TextChunk:
    """New text of a generation."""

    text: str
    """Continues the text of the chunks before; complete characters, no part of a stop string."""
    tokens: int
    """How many tokens were decoded since the chunk before."""
    finish: FinishReason | None = None
    """Set on the last chunk only."""
    logprobs: tuple[TextLogprobs, ...] | None = None
    """One for each of these tokens but a token that ended the answer; None if the request does not ask."""
    cached: int = 0
    """On the first chunk: how many tokens of the prompt had their state in the prefix cache."""

    def packed(self) -> Packed:
        """Returns the chunk as plain values."""
        return self.text, self.tokens, self.finish, self.logprobs, self.cached

    @staticmethod
    def unpacked(packed: Packed) -> "TextChunk":
        """Builds the chunk from the values that `packed` returned."""
        text, tokens, finish, plain_logprobs, cached = packed
        logprobs = None if plain_logprobs is None else tuple(_text_logprobs(*each) for each in plain_logprobs)
        return TextChunk(text, tokens, finish and FinishReason(finish), logprobs, cached)


def _text_logprobs(token: Packed, offset: int, top: tuple[Packed, ...]) -> TextLogprobs:
    return TextLogprobs(TokenText(*token), offset, tuple(TokenText(*each) for each in top))


@dataclass(frozen=True, slots=True)
class DecoderStatus:
    """The load of a decoder replica at one moment."""

    version: int
    """The version of the model that it serves."""
    servers: int
    """How many of its model servers accept calls."""
    waiting: int
    """Sequences that wait for admission. This field and the next three are 0 when it is idle."""
    running: int
    """Sequences that take part in steps."""
    states: int
    """Sequences whose state is held in memory."""
    state_bytes: int
    """Bytes of state reserved for running sequences."""
    drafted: int = 0
    """Tokens that its draft model has drafted since its start, and the model has checked."""
    accepted: int = 0
    """Tokens of these that the model accepted."""
