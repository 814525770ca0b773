"""The request bodies, as pydantic models: OpenAI's fields and a few common extensions.

`null` is the same as leaving a field out.
"""

from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deployments.errors import RequestError
from deployments.ingress import unsupported
from deployments.ingress.fields import (
    AllowedTokenIds,
    ContentField,
    LogitBiasField,
    LogprobsCount,
    MaxTokens,
    MinP,
    MinTokens,
    Penalty,
    PromptField,
    RepetitionPenalty,
    Seed,
    StopField,
    StopTokenIds,
    Temperature,
    TopK,
    TopP,
    UnicodeText,
)
from deployments.ingress.resolve import RequestOptions
from deployments.messages import ChatMessage, ChatPrompt, Prompt, TextPrompt, TokenPrompt

DEFAULT_COMPLETION_TOKENS = 16
"""`max_tokens` of a completion that does not give it, as in OpenAI's API."""


class Body(BaseModel):
    """A JSON object; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    neutral_values: ClassVar[unsupported.NeutralValues] = {}
    """The accepted values of unsupported fields."""

    @model_validator(mode="before")
    @classmethod
    def _supported(cls, body: Any) -> Any:
        return unsupported.without_unsupported(body, cls.neutral_values) if isinstance(body, dict) else body


class StreamOptions(Body):
    """When a stream reports its usage."""

    include_usage: bool = False
    """In a chunk of its own, after all others."""
    continuous_usage_stats: bool = False
    """In every chunk."""
    include_obfuscation: bool = False
    """Accepted, without effect."""


class GenerationBody(Body):
    """The fields that both APIs have."""

    model: str
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: MaxTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: TopK | None = None
    """0 and -1: no limit."""
    min_p: MinP | None = None
    seed: Seed | None = None
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    repetition_penalty: RepetitionPenalty | None = None
    logit_bias: LogitBiasField = ()
    stop: StopField = []
    stop_token_ids: StopTokenIds = []
    ignore_eos: bool = False
    min_tokens: MinTokens = 0
    allowed_token_ids: AllowedTokenIds | None = None

    @model_validator(mode="after")
    def _stream_options_need_a_stream(self) -> Self:
        if "stream_options" in self.model_fields_set and not self.stream:
            raise RequestError("'stream_options' is only allowed when 'stream' is true.", "stream_options")
        return self

    @property
    def shows_usage(self) -> bool:
        """Whether the chunks of the stream have the field `usage`."""
        return self.stream_options.include_usage or self.stream_options.continuous_usage_stats

    def to_options(self) -> RequestOptions:
        """Returns the parameters of the answer, with None for those that the client left out."""
        return RequestOptions(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=None if self.top_k is None else max(self.top_k, 0),
            min_p=self.min_p,
            seed=self.seed,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            repetition_penalty=self.repetition_penalty,
            logit_bias=self.logit_bias,
            stop=tuple(self.stop),
            stop_token_ids=_unique(self.stop_token_ids),
            ignore_eos=self.ignore_eos,
            min_tokens=self.min_tokens,
            allowed_token_ids=None if self.allowed_token_ids is None else _unique(self.allowed_token_ids),
        )


class CompletionBody(GenerationBody):
    """The body of POST /v1/completions."""

    neutral_values = unsupported.COMPLETION

    prompt: PromptField
    logprobs: LogprobsCount | None = None

    def to_prompt(self) -> Prompt:
        """Returns the prompt, as text or token ids."""
        if isinstance(self.prompt, str):
            return TextPrompt(self.model, self.prompt)
        return TokenPrompt(self.model, self.prompt)

    def to_options(self) -> RequestOptions:
        """Returns the parameters of the answer, with this API's default for `max_tokens`."""
        options = replace(super().to_options(), default_max_tokens=DEFAULT_COMPLETION_TOKENS)
        return replace(options, logprobs=self.logprobs)


class MessageBody(Body):
    """One message of a chat."""

    neutral_values = unsupported.MESSAGE

    role: Literal["system", "developer", "user", "assistant"]
    content: ContentField
    name: UnicodeText | None = None

    def to_message(self) -> ChatMessage:
        """Returns the message with the role that chat templates expect."""
        # Chat templates have "system", the older name of "developer".
        role = "system" if self.role == "developer" else self.role
        return ChatMessage(role, self.content, self.name)


class ChatBody(GenerationBody):
    """The body of POST /v1/chat/completions."""

    neutral_values = unsupported.CHAT

    messages: list[MessageBody] = Field(min_length=1)
    max_completion_tokens: MaxTokens | None = None
    """The newer name of `max_tokens`; it takes precedence if both are given."""
    logprobs: bool = False
    top_logprobs: LogprobsCount = 0

    @model_validator(mode="after")
    def _top_logprobs_need_logprobs(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise RequestError("'top_logprobs' is only allowed when 'logprobs' is true.", "top_logprobs")
        return self

    def to_prompt(self) -> Prompt:
        """Returns the chat as a prompt."""
        return ChatPrompt(self.model, tuple(message.to_message() for message in self.messages))

    def to_options(self) -> RequestOptions:
        """Returns the parameters of the answer, with this API's spelling of log-probabilities resolved."""
        options = replace(super().to_options(), logprobs=self.top_logprobs if self.logprobs else None)
        if self.max_completion_tokens is None:
            return options
        return replace(
            options, max_tokens=self.max_completion_tokens, max_tokens_param="max_completion_tokens"
        )


def _unique(ids: list[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(ids))
