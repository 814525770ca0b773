"""Log-probabilities in the shapes of OpenAI's two APIs; None where the client did not ask.

Does not know the objects that they are part of.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

from deployments.messages import TextLogprobs, TokenText

Told: TypeAlias = Sequence[TextLogprobs] | None
"""Of the tokens of a text, in order."""


def of_completion(told: Told) -> dict[str, Any] | None:
    """/v1/completions: a list for each property; offsets count the answer's characters."""
    if told is None:
        return None
    return {
        "tokens": [each.token.text for each in told],
        "token_logprobs": [each.token.logprob for each in told],
        "top_logprobs": [_by_text(each) for each in told],
        "text_offset": [each.offset for each in told],
    }


def of_chat(told: Told) -> dict[str, Any] | None:
    """/v1/chat/completions: an object for each token."""
    if told is None:
        return None
    content = [_object(each.token) | {"top_logprobs": [*map(_object, each.top)]} for each in told]
    return {"content": content, "refusal": None}


def _by_text(told: TextLogprobs) -> dict[str, float]:
    """The likeliest, and the token itself where it is none of them."""
    likely: dict[str, float] = {}
    for token in (*told.top, told.token):
        # Of tokens that look the same the likeliest counts.
        likely.setdefault(token.text, token.logprob)
    return likely


def _object(token: TokenText) -> dict[str, Any]:
    raw = None if token.bytes is None else list(token.bytes)
    return {"token": token.text, "logprob": token.logprob, "bytes": raw}
