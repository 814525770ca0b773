"""Types of single request fields: they validate JSON values and convert them to the values used here."""

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from deployments.messages import LogitBias

MAX_STOPS = 16
MAX_STOP_LENGTH = 1024
"""Characters of one stop string."""
MAX_BIASES = 1024
MAX_STOP_IDS = 64
MAX_LOGPROBS = 20
MAX_ID_DIGITS = 9
MAX_BIAS = 100
"""The greatest absolute value of a logit bias."""


def _well_formed(text: str) -> str:
    """Rejects unpaired surrogates, which JSON can contain and Unicode text cannot."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("It should be valid Unicode, without unpaired surrogates")
    return text


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _prompt(value: Any) -> str | tuple[int, ...]:
    """Accepts text, a list of token ids, or a list with one of these."""
    if isinstance(value, str):
        return _well_formed(value)
    if _is_ids(value):
        return tuple(value)
    if isinstance(value, list) and all(isinstance(item, str) or _is_ids(item) for item in value):
        return _only(value)
    raise ValueError("It should be a string or a list of token ids")


def _only(prompts: list[Any]) -> str | tuple[int, ...]:
    if len(prompts) > 1:
        raise ValueError(f"One prompt per request is supported, and this one has {len(prompts)}")
    return _prompt(prompts[0])


def _stop(value: Any) -> Any:
    """Turns a single stop string into a list of one."""
    return [value] if isinstance(value, str) else value


def _parts(value: Any) -> Any:
    """Joins a list of parts `{"type": "text", "text": ...}` with line breaks; other values pass unchanged."""
    if not isinstance(value, list):
        return value
    return "\n".join(_text_of(part) for part in value)


def _text_of(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    if not isinstance(text, str):
        raise ValueError("It should be a string or a list of text parts; no other kind is supported")
    return text


def _biases(value: Any) -> Any:
    """Converts an object that maps token ids to numbers into pairs."""
    if not isinstance(value, dict):
        raise ValueError("It should be an object with token ids as its keys")
    if len(value) > MAX_BIASES:
        raise ValueError(f"It should have at most {MAX_BIASES} keys, and this one has {len(value)}")
    biases = {_token_id(key): _bias(key, bias) for key, bias in value.items()}
    if len(biases) < len(value):
        raise ValueError("A token id is given more than once")
    return tuple(biases.items())


def _token_id(key: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) <= MAX_ID_DIGITS):
        raise ValueError(f"The key {key[:99]!r} should be a token id, such as '50256'")
    return int(key)


def _bias(key: str, bias: Any) -> float:
    if type(bias) not in (int, float) or not -MAX_BIAS <= bias <= MAX_BIAS:
        raise ValueError(f"The bias of {key[:99]!r} should be a number from {-MAX_BIAS} to {MAX_BIAS}")
    return float(bias)


UnicodeText: TypeAlias = Annotated[str, AfterValidator(_well_formed)]
StopString: TypeAlias = Annotated[UnicodeText, Field(min_length=1, max_length=MAX_STOP_LENGTH)]

PromptField: TypeAlias = Annotated[str | tuple[int, ...], BeforeValidator(_prompt)]
StopField: TypeAlias = Annotated[list[StopString], BeforeValidator(_stop), Field(max_length=MAX_STOPS)]
ContentField: TypeAlias = Annotated[UnicodeText, BeforeValidator(_parts)]

Temperature: TypeAlias = Annotated[float, Field(ge=0, le=2)]
TopP: TypeAlias = Annotated[float, Field(gt=0, le=1)]
TopK: TypeAlias = Annotated[int, Field(ge=-1, lt=2**31)]
MinP: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Seed: TypeAlias = Annotated[int, Field(ge=-(2**63), lt=2**64)]
MaxTokens: TypeAlias = Annotated[int, Field(ge=1)]
MinTokens: TypeAlias = Annotated[int, Field(ge=0)]
Penalty: TypeAlias = Annotated[float, Field(ge=-2, le=2)]
RepetitionPenalty: TypeAlias = Annotated[float, Field(gt=0, le=2)]
LogitBiasField: TypeAlias = Annotated[LogitBias, BeforeValidator(_biases)]
TokenId: TypeAlias = Annotated[int, Field(ge=0, lt=2**31)]
StopTokenIds: TypeAlias = Annotated[list[TokenId], Field(max_length=MAX_STOP_IDS)]
AllowedTokenIds: TypeAlias = Annotated[list[TokenId], Field(min_length=1)]
LogprobsCount: TypeAlias = Annotated[int, Field(ge=0, le=MAX_LOGPROBS)]
