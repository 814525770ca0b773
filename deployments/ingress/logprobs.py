"""Log-probabilities in the shapes of OpenAI's two APIs."""

from collections.abc import Sequence
from typing import Any, TypeAlias

from deployments.messages import TextLogprobs, TokenText

AnswerLogprobs: TypeAlias = Sequence[TextLogprobs] | None
"""Those of an answer's tokens, in order; None if the client did not ask for them."""


def completion_logprobs(logprobs: AnswerLogprobs) -> dict[str, Any] | None:
    """Builds the object of /v1/completions: one list per property. Offsets count the answer's characters."""
    if logprobs is None:
        return None
    return {
        "tokens": [each.token.text for each in logprobs],
        "token_logprobs": [each.token.logprob for each in logprobs],
        "top_logprobs": [_by_text(each) for each in logprobs],
        "text_offset": [each.offset for each in logprobs],
    }


def chat_logprobs(logprobs: AnswerLogprobs) -> dict[str, Any] | None:
    """Builds the object of /v1/chat/completions: one object per token."""
    if logprobs is None:
        return None
    content = [
        _token_object(each.token) | {"top_logprobs": [*map(_token_object, each.top)]} for each in logprobs
    ]
    return {"content": content, "refusal": None}


def _by_text(logprobs: TextLogprobs) -> dict[str, float]:
    """Maps the texts of the likeliest tokens, and of the token itself, to their log-probabilities."""
    likely: dict[str, float] = {}
    for token in (*logprobs.top, logprobs.token):
        # Among tokens of the same text, the likeliest counts.
        likely.setdefault(token.text, token.logprob)
    return likely


def _token_object(token: TokenText) -> dict[str, Any]:
    raw = None if token.bytes is None else list(token.bytes)
    return {"token": token.text, "logprob": token.logprob, "bytes": raw}
