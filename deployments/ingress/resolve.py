"""From what a client said to a complete GenerateRequest: defaults and limits. Pure.

Does not know HTTP or where the prompt came from.
"""

from dataclasses import dataclass
from typing import TypeVar

from deployments.errors import ContextOverflow
from deployments.messages import EncodedPrompt, GenerateRequest, SamplingParams

MASK_64 = 2**64 - 1

Value = TypeVar("Value", int, float)


@dataclass(frozen=True, slots=True)
class Options:
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
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False


def resolve(request_id: str, prompt: EncodedPrompt, options: Options, random_seed: int) -> GenerateRequest:
    """The request as the decoder takes it; ContextOverflow where it cannot fit."""
    return GenerateRequest(
        request_id=request_id,
        servable=prompt.servable,
        prompt_ids=prompt.ids,
        max_tokens=_max_tokens(prompt, options),
        sampling=_sampling(prompt, options, random_seed),
        stop=options.stop,
        ignore_eos=options.ignore_eos,
    )


def _sampling(prompt: EncodedPrompt, options: Options, random_seed: int) -> SamplingParams:
    defaults = prompt.defaults
    return SamplingParams(
        temperature=_first(options.temperature, defaults.temperature),
        top_k=_first(options.top_k, defaults.top_k),
        top_p=_first(options.top_p, defaults.top_p),
        min_p=_first(options.min_p, defaults.min_p),
        seed=_first(options.seed, random_seed) & MASK_64,
    )


def _max_tokens(prompt: EncodedPrompt, options: Options) -> int:
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
