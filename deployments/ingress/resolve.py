"""Completes a client's parameters to a GenerateRequest: fills in defaults and checks lengths. Pure."""

from dataclasses import dataclass
from typing import TypeVar

from deployments.errors import ContextOverflow, RequestError
from deployments.messages import EncodedPrompt, GenerateRequest, LogitBias, SamplingParams

MASK_64 = 2**64 - 1

Value = TypeVar("Value", int, float)


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """The parameters of the answer as the client gave them; None for those it left out."""

    max_tokens: int | None = None
    max_tokens_param: str = "max_tokens"
    """The name of the field that `max_tokens` came in, for error messages."""
    default_max_tokens: int | None = None
    """Used if `max_tokens` is None; None: the model's own default."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float | None = None
    logit_bias: LogitBias = ()
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    min_tokens: int = 0
    allowed_token_ids: tuple[int, ...] | None = None
    logprobs: int | None = None


def resolve(
    request_id: str, prompt: EncodedPrompt, options: RequestOptions, random_seed: int
) -> GenerateRequest:
    """Builds the complete request. `random_seed` is used if the client gave no seed.

    Raises RequestError if `min_tokens` exceeds `max_tokens`, ContextOverflow if the prompt and
    `max_tokens` together exceed the context length.
    """
    max_tokens = _max_tokens(prompt, options)
    if options.min_tokens > max_tokens:
        raise RequestError(
            f"min_tokens is {options.min_tokens}, but the answer may have at most {max_tokens} tokens.",
            "min_tokens",
        )
    return GenerateRequest(
        request_id=request_id,
        servable=prompt.servable,
        prompt_ids=prompt.ids,
        max_tokens=max_tokens,
        sampling=_sampling(prompt, options, random_seed),
        stop=options.stop,
        ignore_eos=options.ignore_eos,
    )


def _sampling(prompt: EncodedPrompt, options: RequestOptions, random_seed: int) -> SamplingParams:
    defaults = prompt.defaults
    return SamplingParams(
        temperature=_given_or(defaults.temperature, options.temperature),
        top_k=_given_or(defaults.top_k, options.top_k),
        top_p=_given_or(defaults.top_p, options.top_p),
        min_p=_given_or(defaults.min_p, options.min_p),
        seed=_given_or(random_seed, options.seed) & MASK_64,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        repetition_penalty=_given_or(defaults.repetition_penalty, options.repetition_penalty),
        logit_bias=options.logit_bias,
        min_tokens=options.min_tokens,
        stop_token_ids=options.stop_token_ids,
        allowed_token_ids=options.allowed_token_ids,
        logprobs=options.logprobs,
    )


def _max_tokens(prompt: EncodedPrompt, options: RequestOptions) -> int:
    room = prompt.context_length - len(prompt.ids)
    assert room >= 1, "the tokenizer rejects prompts that fill the context"
    if options.max_tokens is None:
        return min(_given_or(prompt.defaults.max_tokens, options.default_max_tokens), room)
    if options.max_tokens > room:
        raise ContextOverflow(
            f"The model's context holds {prompt.context_length} tokens, but {len(prompt.ids)} in the prompt "
            f"and {options.max_tokens} in {options.max_tokens_param} "
            f"make {len(prompt.ids) + options.max_tokens}.",
            options.max_tokens_param,
        )
    return options.max_tokens


def _given_or(default: Value, given: Value | None) -> Value:
    return default if given is None else given
