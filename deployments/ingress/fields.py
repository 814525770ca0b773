"""Types of single fields: what JSON may hold, as the values that the rest uses.

Does not know in which requests they stand.
"""

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

MOST_STOPS = 16
LONGEST_STOP = 1024
MOST_BIASES = 1024
MOST_STOP_IDS = 64
MOST_LOGPROBS = 20
LONGEST_ID = 9
"""Digits."""
STRONGEST_BIAS = 100


def _well_formed(text: str) -> str:
    """JSON can hold unpaired surrogates; Unicode text cannot."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("It should be valid Unicode, without unpaired surrogates")
    return text


def _is_ids(value: object) -> bool:
    return isinstance(value, list) and all(type(item) is int for item in value)


def _prompt(value: Any) -> str | tuple[int, ...]:
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
    return [value] if isinstance(value, str) else value


def _parts(value: Any) -> Any:
    """Text, or a list of `{"type": "text", "text": ...}` as one text, a line for each."""
    if not isinstance(value, list):
        return value
    return "\n".join(_text_of(part) for part in value)


def _text_of(part: Any) -> str:
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    if not isinstance(text, str):
        raise ValueError("It should be a string or a list of text parts; no other kind is supported")
    return text


def _biases(value: Any) -> Any:
    """An object from token ids to numbers, as pairs."""
    if not isinstance(value, dict):
        raise ValueError("It should be an object with token ids as its keys")
    if len(value) > MOST_BIASES:
        raise ValueError(f"It should have at most {MOST_BIASES} keys, and this one has {len(value)}")
    biases = {_token_id(key): _bias(key, bias) for key, bias in value.items()}
    if len(biases) < len(value):
        raise ValueError("A token id is given more than once")
    return tuple(biases.items())


def _token_id(key: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) <= LONGEST_ID):
        raise ValueError(f"The key {key[:99]!r} should be a token id, such as '50256'")
    return int(key)


def _bias(key: str, bias: Any) -> float:
    if type(bias) not in (int, float) or not -STRONGEST_BIAS <= bias <= STRONGEST_BIAS:
        raise ValueError(
            f"The bias of {key[:99]!r} should be a number from {-STRONGEST_BIAS} to {STRONGEST_BIAS}"
        )
    return float(bias)


Text: TypeAlias = Annotated[str, AfterValidator(_well_formed)]
StopString: TypeAlias = Annotated[Text, Field(min_length=1, max_length=LONGEST_STOP)]

PromptField: TypeAlias = Annotated[str | tuple[int, ...], BeforeValidator(_prompt)]
StopField: TypeAlias = Annotated[list[StopString], BeforeValidator(_stop), Field(max_length=MOST_STOPS)]
ContentField: TypeAlias = Annotated[Text, BeforeValidator(_parts)]

Temperature: TypeAlias = Annotated[float, Field(ge=0, le=2)]
TopP: TypeAlias = Annotated[float, Field(gt=0, le=1)]
TopK: TypeAlias = Annotated[int, Field(ge=-1, lt=2**31)]
MinP: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Seed: TypeAlias = Annotated[int, Field(ge=-(2**63), lt=2**64)]
MaxTokens: TypeAlias = Annotated[int, Field(ge=1)]
MinTokens: TypeAlias = Annotated[int, Field(ge=0)]
Penalty: TypeAlias = Annotated[float, Field(ge=-2, le=2)]
RepetitionPenalty: TypeAlias = Annotated[float, Field(gt=0, le=2)]
LogitBias: TypeAlias = Annotated[tuple[tuple[int, float], ...], BeforeValidator(_biases)]
TokenId: TypeAlias = Annotated[int, Field(ge=0, lt=2**31)]
StopTokenIds: TypeAlias = Annotated[list[TokenId], Field(max_length=MOST_STOP_IDS)]
AllowedTokenIds: TypeAlias = Annotated[list[TokenId], Field(min_length=1)]
Logprobs: TypeAlias = Annotated[int, Field(ge=0, le=MOST_LOGPROBS)]
