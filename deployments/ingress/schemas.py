"""What clients may send, as pydantic models: OpenAI's fields, and a few common extensions.

`null` is the same as leaving a field out. Does not know models or their defaults.
"""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from deployments.ingress.resolve import Options
from deployments.messages import Prompt, TextPrompt, TokenPrompt


class Body(BaseModel):
    """A JSON object without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        return {k: v for k, v in body.items() if v is not None} if isinstance(body, dict) else body


class StreamOptions(Body):
    include_usage: bool = False
    continuous_usage_stats: bool = False
    include_obfuscation: bool = False


def _stops(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class GenerationBody(Body):
    """What both APIs take."""

    model: str
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    top_k: Annotated[int | None, Field(ge=-1)] = None
    min_p: Annotated[float | None, Field(ge=0, le=1)] = None
    seed: Annotated[int | None, Field(ge=-(2**63), lt=2**64)] = None
    stop: Annotated[tuple[str, ...], BeforeValidator(_stops)] = ()
    ignore_eos: bool = False


class CompletionBody(GenerationBody):
    """POST /v1/completions."""

    prompt: str | tuple[int, ...]

    def to_prompt(self) -> Prompt:
        if isinstance(self.prompt, str):
            return TextPrompt(self.model, self.prompt)
        return TokenPrompt(self.model, self.prompt)

    def to_options(self) -> Options:
        return Options(max_tokens=self.max_tokens, default_max_tokens=16, stop=self.stop)
