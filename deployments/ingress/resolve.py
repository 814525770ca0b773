"""From what a client said to a complete GenerateRequest: defaults and limits. Pure.

Does not know HTTP or where the prompt came from.
"""

from dataclasses import dataclass
from typing import TypeVar

from deployments.errors import ContextOverflow, RequestError
from deployments.messages import EncodedPrompt, GenerateRequest, SamplingParams

MASK_64 = 2**64 - 1

Value = TypeVar("Value", int, float)


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """What the client said of the answer; None where it said nothing."""

    max_tokens: int | None = None
    max_tokens_param: str = "max_tokens"
    """The field that `max_tokens` came in, for messages."""
    default_max_tokens: int | None = None
    """Where `max_tokens` is None; None: the model's own."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    min_tokens: int = 0
    allowed_token_ids: tuple[int, ...] | None = None
    logprobs: int | None = None


def resolve(
    request_id: str, prompt: EncodedPrompt, options: RequestOptions, random_seed: int
) -> GenerateRequest:
    """The request as the decoder takes it; RequestError where its lengths cannot be kept."""
    max_tokens = _max_tokens(prompt, options)
    if options.min_tokens > max_tokens:
        raise RequestError(
            f"min_tokens {options.min_tokens} is more than the {max_tokens} that the answer may have.",
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
        temperature=_first(options.temperature, defaults.temperature),
        top_k=_first(options.top_k, defaults.top_k),
        top_p=_first(options.top_p, defaults.top_p),
        min_p=_first(options.min_p, defaults.min_p),
        seed=_first(options.seed, random_seed) & MASK_64,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        repetition_penalty=_first(options.repetition_penalty, defaults.repetition_penalty),
        logit_bias=options.logit_bias,
        min_tokens=options.min_tokens,
        stop_token_ids=options.stop_token_ids,
        allowed_token_ids=options.allowed_token_ids,
        logprobs=options.logprobs,
    )


def _max_tokens(prompt: EncodedPrompt, options: RequestOptions) -> int:
    room = prompt.context_length - len(prompt.ids)
    assert room >= 1, "the tokenizer refuses prompts that leave no room"
    if options.max_tokens is None:
        return min(_first(options.default_max_tokens, prompt.defaults.max_tokens), room)
    if options.max_tokens > room:
        raise ContextOverflow(
            f"The model's context holds {prompt.context_length} tokens, but {len(prompt.ids)} in the prompt "
            f"and {options.max_tokens} in {options.max_tokens_param} "
            f"make {len(prompt.ids) + options.max_tokens}.",
            options.max_tokens_param,
        )
    return options.max_tokens


def _first(said: Value | None, default: Value) -> Value:
    return default if said is None else said
