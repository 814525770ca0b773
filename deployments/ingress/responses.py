"""OpenAI's response objects, whole and in chunks: the one place that builds them.

Each API has a format with the same methods. What all chunks of a stream share is encoded once; a delta costs
one small JSON string. Does not know HTTP or how chunks are framed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from deployments.ingress import json_body
from deployments.ingress.logprobs import Told, of_chat, of_completion
from deployments.ingress.service import ModelCard
from deployments.messages import DecoderStatus, FinishReason

HOLE = "\0"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request so far."""

    prompt: int
    completion: int
    cached: int = 0
    """Of those of the prompt, how many were not computed anew."""

    def to_json(self) -> dict[str, Any]:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
            "completion_tokens_details": {"reasoning_tokens": 0},
        }


class Head(Protocol):
    """What every object of one answer repeats."""

    @property
    def id(self) -> str: ...
    @property
    def created(self) -> int: ...
    @property
    def model(self) -> str: ...


class Format(Protocol):
    """How one API shows a generation."""

    def body(self, text: str, finish: FinishReason, usage: Usage, told: Told) -> dict[str, Any]:
        """The whole answer."""

    def opening(self, usage: Usage | None) -> tuple[bytes, ...]:
        """The chunks before the first text."""

    def delta(self, text: str, usage: Usage | None, told: Told) -> bytes:
        """A chunk with more text."""

    def finish(self, text: str, reason: FinishReason, usage: Usage | None, told: Told) -> tuple[bytes, ...]:
        """The last text, and why it ends."""

    def usage(self, usage: Usage) -> bytes:
        """The chunk after the last, without choices."""


class CompletionFormat:
    """/v1/completions."""

    id_prefix = "cmpl"

    def __init__(self, head: Head, shows_usage: bool = False) -> None:
        self._head = head
        self._chunk = Template(self._object([_completion_choice(HOLE, None)]), shows_usage)

    def body(self, text: str, finish: FinishReason, usage: Usage, told: Told) -> dict[str, Any]:
        return {**self._object([_completion_choice(text, finish, told)]), "usage": usage.to_json()}

    def opening(self, usage: Usage | None) -> tuple[bytes, ...]:  # noqa: ARG002
        return ()

    def delta(self, text: str, usage: Usage | None, told: Told) -> bytes:
        if not told:
            return self._chunk.fill(text, usage)
        return self._chunk.with_choices([_completion_choice(text, None, told)], usage)

    def finish(self, text: str, reason: FinishReason, usage: Usage | None, told: Told) -> tuple[bytes, ...]:
        return (self._chunk.with_choices([_completion_choice(text, reason, told or None)], usage),)

    def usage(self, usage: Usage) -> bytes:
        return self._chunk.with_choices([], usage)

    def _object(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return _head("text_completion", self._head, choices)


class ChatFormat:
    """/v1/chat/completions."""

    id_prefix = "chatcmpl"

    def __init__(self, head: Head, shows_usage: bool = False) -> None:
        self._head = head
        chunk = _head("chat.completion.chunk", head, [_chat_choice({"content": HOLE}, None)])
        self._chunk = Template(chunk, shows_usage)

    def body(self, text: str, finish: FinishReason, usage: Usage, told: Told) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": of_chat(told), "finish_reason": finish}
        return {**_head("chat.completion", self._head, [choice]), "usage": usage.to_json()}

    def opening(self, usage: Usage | None) -> tuple[bytes, ...]:
        delta = {"role": "assistant", "content": "", "refusal": None}
        return (self._chunk.with_choices([_chat_choice(delta, None)], usage),)

    def delta(self, text: str, usage: Usage | None, told: Told) -> bytes:
        if not told:
            return self._chunk.fill(text, usage)
        return self._chunk.with_choices([_chat_choice({"content": text}, None, told)], usage)

    def finish(self, text: str, reason: FinishReason, usage: Usage | None, told: Told) -> tuple[bytes, ...]:
        last = self._chunk.with_choices([_chat_choice({}, reason)], usage)
        return (self.delta(text, usage, told), last) if text or told else (last,)

    def usage(self, usage: Usage) -> bytes:
        return self._chunk.with_choices([], usage)


class Template:
    """A chunk whose text is filled in; `shows_usage` gives every chunk the key `usage`, be it null."""

    def __init__(self, chunk: Mapping[str, Any], shows_usage: bool) -> None:
        self._fixed = {key: value for key, value in chunk.items() if key != "choices"}
        self._shows_usage = shows_usage
        encoded = json_body.encode({**chunk, "usage": None} if shows_usage else chunk)
        self._before, self._after = encoded.split(json_body.encode(HOLE))

    def fill(self, text: str, usage: Usage | None) -> bytes:
        filled = self._before + json_body.encode(text) + self._after
        return filled if usage is None else _with_usage(filled, usage)

    def with_choices(self, choices: list[dict[str, Any]], usage: Usage | None) -> bytes:
        chunk = {**self._fixed, "choices": choices}
        if self._shows_usage:
            chunk["usage"] = usage and usage.to_json()
        return json_body.encode(chunk)


def model_list(models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """GET /v1/models."""
    return {"object": "list", "data": models}


def model_object(card: ModelCard) -> dict[str, Any]:
    """GET /v1/models/{model}; `max_model_len` is a common extension."""
    return {
        "id": card.name,
        "object": "model",
        "created": card.created,
        "owned_by": "tensorloom",
        "max_model_len": card.context_length,
    }


def _with_usage(chunk: bytes, usage: Usage) -> bytes:
    assert chunk.endswith(b"null}"), "only chunks that show usage can be given one"
    return chunk.removesuffix(b"null}") + json_body.encode(usage.to_json()) + b"}"


def _head(kind: str, head: Head, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": head.id,
        "object": kind,
        "created": head.created,
        "model": head.model,
        "choices": choices,
    }


def _completion_choice(text: str, finish: FinishReason | None, told: Told = None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": of_completion(told), "finish_reason": finish}


def _chat_choice(delta: Mapping[str, Any], finish: FinishReason | None, told: Told = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": of_chat(told), "finish_reason": finish}


def health_object(ready: bool, statuses: Mapping[str, DecoderStatus | None]) -> dict[str, Any]:
    """`status` is "ok" where every model can answer; what each decoder holds, null for one that is silent."""
    return {
        "status": "ok" if ready else "unavailable",
        "models": {model: status and asdict(status) for model, status in statuses.items()},
    }
