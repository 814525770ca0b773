"""The answers of OpenAI's two APIs, whole and in chunks: one format per API, with the same methods.

The parts that all chunks of a stream share are encoded once, so that a chunk costs one small JSON string.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from deployments.ingress.logprobs import AnswerLogprobs, chat_logprobs, completion_logprobs
from deployments.ingress.responses import encode_json
from deployments.messages import FinishReason

_PLACEHOLDER = "\0"
"""Stands for the text in a template. It must not occur elsewhere in a chunk."""


@dataclass(frozen=True, slots=True)
class Usage:
    """How many tokens a request has used so far."""

    prompt: int
    completion: int
    cached: int = 0
    """How many of the prompt's tokens came from the prefix cache."""

    def to_json(self) -> dict[str, Any]:
        """Builds OpenAI's usage object."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


class AnswerHead(Protocol):
    """The values that all objects of one answer repeat."""

    @property
    def id(self) -> str:
        """The id of the answer."""

    @property
    def created(self) -> int:
        """Unix time, in seconds."""

    @property
    def model(self) -> str:
        """The name of the model."""


class AnswerFormat(Protocol):
    """How one API presents a generation. The chunks are JSON bytes; `usage` is None if a chunk has none."""

    def body(self, text: str, finish: FinishReason, usage: Usage, logprobs: AnswerLogprobs) -> dict[str, Any]:
        """Builds the whole answer."""

    def opening(self, usage: Usage | None) -> tuple[bytes, ...]:
        """Builds the chunks that come before the first text."""

    def delta(self, text: str, usage: Usage | None, logprobs: AnswerLogprobs) -> bytes:
        """Builds a chunk with more text."""

    def finish(
        self, text: str, reason: FinishReason, usage: Usage | None, logprobs: AnswerLogprobs
    ) -> tuple[bytes, ...]:
        """Builds the chunks with the last text and the finish reason."""

    def usage(self, usage: Usage) -> bytes:
        """Builds the last chunk, which reports the usage; its `choices` list is empty."""


class CompletionFormat:
    """The format of /v1/completions."""

    id_prefix = "cmpl"

    def __init__(self, head: AnswerHead, shows_usage: bool = False) -> None:
        self._head = head
        self._chunk = ChunkTemplate(self._object([_completion_choice(_PLACEHOLDER, None)]), shows_usage)

    def body(self, text: str, finish: FinishReason, usage: Usage, logprobs: AnswerLogprobs) -> dict[str, Any]:
        """Returns the JSON object of a whole answer."""
        return {**self._object([_completion_choice(text, finish, logprobs)]), "usage": usage.to_json()}

    def opening(self, usage: Usage | None) -> tuple[bytes, ...]:  # noqa: ARG002
        """Returns the chunks before the first text."""
        return ()

    def delta(self, text: str, usage: Usage | None, logprobs: AnswerLogprobs) -> bytes:
        """Returns the chunk of a piece of text."""
        if not logprobs:
            return self._chunk.fill(text, usage)
        return self._chunk.with_choices([_completion_choice(text, None, logprobs)], usage)

    def finish(
        self, text: str, reason: FinishReason, usage: Usage | None, logprobs: AnswerLogprobs
    ) -> tuple[bytes, ...]:
        """Returns the chunk with the finish reason."""
        return (self._chunk.with_choices([_completion_choice(text, reason, logprobs or None)], usage),)

    def usage(self, usage: Usage) -> bytes:
        """Returns the chunk with the usage alone."""
        return self._chunk.with_choices([], usage)

    def _object(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return _answer_object("text_completion", self._head, choices)


class ChatFormat:
    """The format of /v1/chat/completions."""

    id_prefix = "chatcmpl"

    def __init__(self, head: AnswerHead, shows_usage: bool = False) -> None:
        self._head = head
        chunk = _answer_object("chat.completion.chunk", head, [_chat_choice({"content": _PLACEHOLDER}, None)])
        self._chunk = ChunkTemplate(chunk, shows_usage)

    def body(self, text: str, finish: FinishReason, usage: Usage, logprobs: AnswerLogprobs) -> dict[str, Any]:
        """Returns the JSON object of a whole answer."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {
            "index": 0,
            "message": message,
            "logprobs": chat_logprobs(logprobs),
            "finish_reason": finish,
        }
        return {**_answer_object("chat.completion", self._head, [choice]), "usage": usage.to_json()}

    def opening(self, usage: Usage | None) -> tuple[bytes, ...]:
        """Returns the chunks before the first text."""
        delta = {"role": "assistant", "content": "", "refusal": None}
        return (self._chunk.with_choices([_chat_choice(delta, None)], usage),)

    def delta(self, text: str, usage: Usage | None, logprobs: AnswerLogprobs) -> bytes:
        """Returns the chunk of a piece of text."""
        if not logprobs:
            return self._chunk.fill(text, usage)
        return self._chunk.with_choices([_chat_choice({"content": text}, None, logprobs)], usage)

    def finish(
        self, text: str, reason: FinishReason, usage: Usage | None, logprobs: AnswerLogprobs
    ) -> tuple[bytes, ...]:
        """Returns the chunk with the finish reason."""
        last = self._chunk.with_choices([_chat_choice({}, reason)], usage)
        return (self.delta(text, usage, logprobs), last) if text or logprobs else (last,)

    def usage(self, usage: Usage) -> bytes:
        """Returns the chunk with the usage alone."""
        return self._chunk.with_choices([], usage)


class ChunkTemplate:
    """The chunk of a stream with a place for its text.

    With `shows_usage`, every chunk has the key `usage`, with null as its value where no usage is given.
    """

    def __init__(self, chunk: Mapping[str, Any], shows_usage: bool) -> None:
        self._fixed = {key: value for key, value in chunk.items() if key != "choices"}
        self._shows_usage = shows_usage
        encoded = encode_json({**chunk, "usage": None} if shows_usage else chunk)
        self._before, self._after = encoded.split(encode_json(_PLACEHOLDER))

    def fill(self, text: str, usage: Usage | None) -> bytes:
        """Builds the chunk with `text` in its place."""
        filled = self._before + encode_json(text) + self._after
        return filled if usage is None else _with_usage(filled, usage)

    def with_choices(self, choices: list[dict[str, Any]], usage: Usage | None) -> bytes:
        """Builds the chunk with other choices."""
        chunk = {**self._fixed, "choices": choices}
        if self._shows_usage:
            chunk["usage"] = usage and usage.to_json()
        return encode_json(chunk)


def _with_usage(chunk: bytes, usage: Usage) -> bytes:
    assert chunk.endswith(b"null}"), "the template was built without shows_usage"
    return chunk.removesuffix(b"null}") + encode_json(usage.to_json()) + b"}"


def _answer_object(kind: str, head: AnswerHead, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": head.id,
        "object": kind,
        "created": head.created,
        "model": head.model,
        "choices": choices,
    }


def _completion_choice(
    text: str, finish: FinishReason | None, logprobs: AnswerLogprobs = None
) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": completion_logprobs(logprobs), "finish_reason": finish}


def _chat_choice(
    delta: Mapping[str, Any], finish: FinishReason | None, logprobs: AnswerLogprobs = None
) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": chat_logprobs(logprobs), "finish_reason": finish}
