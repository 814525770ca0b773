"""Fields of OpenAI's API and its common extensions that are not supported here.

They are accepted with their neutral values, which ask for nothing beyond what an answer is without them.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from deployments.errors import RequestError

NeutralValues: TypeAlias = Mapping[str, Collection[object]]
"""For each unsupported field, the values that are accepted because they change nothing; `null` always is."""

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
"""Accepted with any value and ignored: they describe the request, or are hints that a server may ignore."""

COMMON: NeutralValues = {
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
COMPLETION: NeutralValues = {**COMMON, "suffix": [""]}
CHAT: NeutralValues = {
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
MESSAGE: NeutralValues = {
    "annotations": [[]],
    "audio": [],
    "function_call": [],
    "refusal": [],
    "tool_calls": [[]],
}


def without_unsupported(body: Mapping[str, Any], neutral_values: NeutralValues) -> dict[str, Any]:
    """Returns `body` without null values, ignored fields and unsupported fields.

    Raises RequestError if an unsupported field has a value that is not neutral.
    """
    fields = {name: value for name, value in body.items() if value is not None and name not in IGNORED}
    for name in fields.keys() & neutral_values.keys():
        _check(name, fields.pop(name), neutral_values[name])
    return fields


def _check(name: str, value: object, neutral_values: Collection[object]) -> None:
    if value not in neutral_values:
        allowed = " or ".join(repr(each) for each in neutral_values)
        advice = f"only {allowed} is" if neutral_values else "no value is"
        raise RequestError(f"{name!r} is not supported: {advice} allowed here.", name)
