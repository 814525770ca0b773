"""Validation failures as one RequestError: which value is wrong, and what is allowed.

Knows how pydantic reports; does not know the schemas.
"""

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from deployments.errors import RequestError

NO_OBJECT = "The request's body must be a JSON object, sent as application/json."


def as_request_error(failures: Sequence[Mapping[str, Any]]) -> RequestError:
    """The first failure, in words."""
    failure = failures[0]
    param = param_of(failure["loc"])
    if param is None or failure["type"] == "json_invalid":
        return RequestError(NO_OBJECT)
    return RequestError(_message(failure, param), param)


def param_of(location: Sequence[str | int]) -> str | None:
    """`("body", "messages", 0, "role")` as `messages[0].role`."""
    param = ""
    for part in location[1:]:
        param += f"[{part}]" if isinstance(part, int) else f".{part}" if param else str(part)
    return param or None


def _message(failure: Mapping[str, Any], param: str) -> str:
    match failure["type"]:
        case "missing":
            return f"Missing required parameter: {param!r}."
        case "extra_forbidden":
            return f"Unrecognized request argument supplied: {param}"
        case _:
            said = failure["msg"].removeprefix("Value error, ")
            return f"Invalid value for {param!r}: {reprlib.repr(failure['input'])}. {said}."
