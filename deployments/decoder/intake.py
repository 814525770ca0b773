"""A request as a sequence of the decode loop: checked against the model, with all that the loop needs.

Pure; knows neither the loop nor where requests come from.
"""

from collections.abc import Iterable
from dataclasses import replace

from deployments.decoder.sampling import token_mask
from deployments.decoder.sequence import TokenSequence
from deployments.errors import ContextOverflow, RequestError, ServableReplaced
from deployments.messages import GenerateRequest, SamplingParams, ServableDescription


def check(request: GenerateRequest, servable: ServableDescription) -> None:
    """RequestError or ServableReplaced where `servable` cannot answer."""
    if request.servable != servable.id:
        raise ServableReplaced(
            f"version {request.servable.version} of {servable.id.model} is no longer served; "
            f"version {servable.id.version} is"
        )
    if not request.prompt_ids:
        raise RequestError("the prompt has no tokens; at least one is needed", param="prompt")
    _check_length(request, servable)
    _check_ids(request, servable.manifest.vocabulary_size)
    _check_choice(request, servable)


def sequence(request: GenerateRequest, servable: ServableDescription, name: str) -> TokenSequence:
    """Of a request that is checked."""
    vocabulary_size = servable.manifest.vocabulary_size
    allowed = request.sampling.allowed_token_ids
    return TokenSequence(
        id=name,
        prompt=request.prompt_ids,
        max_tokens=request.max_tokens,
        sampling=_within(request.sampling, vocabulary_size),
        eos=_ends(request, servable),
        mask=None if allowed is None else token_mask.pack(allowed, vocabulary_size),
    )


def _ends(request: GenerateRequest, servable: ServableDescription) -> frozenset[int]:
    eos = () if request.ignore_eos else servable.manifest.special_tokens.eos
    return frozenset((*eos, *request.sampling.stop_token_ids))


def _within(params: SamplingParams, vocabulary_size: int) -> SamplingParams:
    """No more of the likeliest tokens than there are tokens."""
    if params.logprobs is None or params.logprobs <= vocabulary_size:
        return params
    return replace(params, logprobs=vocabulary_size)


def _check_length(request: GenerateRequest, servable: ServableDescription) -> None:
    length, most = len(request.prompt_ids) + request.max_tokens, servable.manifest.context_length
    if length > most:
        raise ContextOverflow(
            f"prompt ({len(request.prompt_ids)} tokens) and max_tokens ({request.max_tokens}) "
            f"make {length}; the context of {servable.id.model} holds {most}",
            param="max_tokens",
        )


def _check_ids(request: GenerateRequest, vocabulary_size: int) -> None:
    sampling = request.sampling
    given: dict[str, Iterable[int]] = {
        "prompt": request.prompt_ids,
        "logit_bias": (token for token, _ in sampling.logit_bias),
        "stop_token_ids": sampling.stop_token_ids,
        "allowed_token_ids": sampling.allowed_token_ids or (),
    }
    for param, ids in given.items():
        wrong = next((i for i in ids if not 0 <= i < vocabulary_size), None)
        if wrong is not None:
            raise RequestError(
                f"token id {wrong} of {param} is outside the vocabulary; ids are 0 to {vocabulary_size - 1}",
                param,
            )


def _check_choice(request: GenerateRequest, servable: ServableDescription) -> None:
    """There must always be a token that may come next."""
    sampling = request.sampling
    if sampling.allowed_token_ids is None or not sampling.min_tokens:
        return
    if frozenset(sampling.allowed_token_ids) <= _ends(request, servable):
        raise RequestError(
            f"each of allowed_token_ids ends the answer, which must have min_tokens {sampling.min_tokens}",
            "allowed_token_ids",
        )
