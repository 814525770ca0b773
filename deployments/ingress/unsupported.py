"""Fields of the API that exist but are not supported here: accepted at the values that change nothing.

Does not know the fields that are supported.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from deployments.errors import RequestError

Neutral: TypeAlias = Mapping[str, Collection[object]]
"""The values of each field that change nothing; `null` is always one."""

IGNORED = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "safety_identifier",
        "service_tier",
        "store",
        "user",
        "verbosity",
    }
)
"""Accepted with any value: they describe the request, or ask for what no answer has to follow."""

COMMON: Neutral = {
    "bad_words": [[]],
    "best_of": [1],
    "echo": [False],
    "include_stop_str_in_output": [False],
    "length_penalty": [1],
    "n": [1],
    "prompt_logprobs": [],
    "return_token_ids": [False],
    "skip_special_tokens": [True],
    "spaces_between_special_tokens": [True],
    "use_beam_search": [False],
}
COMPLETION: Neutral = {**COMMON, "suffix": [""]}
CHAT: Neutral = {
    **COMMON,
    "add_generation_prompt": [True],
    "audio": [],
    "chat_template": [],
    "chat_template_kwargs": [{}],
    "continue_final_message": [False],
    "function_call": ["none", "auto"],
    "functions": [[]],
    "modalities": [["text"]],
    "response_format": [{"type": "text"}],
    "tool_choice": ["none", "auto"],
    "tools": [[]],
    "web_search_options": [],
}
MESSAGE: Neutral = {"annotations": [[]], "audio": [], "function_call": [], "refusal": [], "tool_calls": [[]]}


def without_unsupported(body: Mapping[str, Any], neutral: Neutral) -> dict[str, Any]:
    """The fields that matter; RequestError where an unsupported one would change the result."""
    said = {name: value for name, value in body.items() if value is not None and name not in IGNORED}
    for name in said.keys() & neutral.keys():
        _check(name, said.pop(name), neutral[name])
    return said


def _check(name: str, value: object, neutral: Collection[object]) -> None:
    if value not in neutral:
        allowed = " or ".join(repr(each) for each in neutral)
        advice = f"only {allowed} is" if neutral else "no value is"
        raise RequestError(f"{name!r} is not supported: {advice} allowed here.", name)
