"""Requests on their way into the decode loop: checked against the model, and turned into sequences. Pure."""

from collections.abc import Iterable
from dataclasses import replace

from deployments.decoder.sampling import token_mask
from deployments.decoder.sequence import TokenSequence
from deployments.errors import ContextOverflow, RequestError, ServableReplaced
from deployments.messages import GenerateRequest, SamplingParams, ServableDescription


def check(request: GenerateRequest, servable: ServableDescription) -> None:
    """Raises RequestError or ServableReplaced if `servable` cannot answer `request`."""
    if request.servable != servable.id:
        raise ServableReplaced(
            f"version {request.servable.version} of {servable.id.model} is no longer served; "
            f"version {servable.id.version} is"
        )
    if not request.prompt_ids:
        raise RequestError("the prompt has no tokens; at least one is needed", param="prompt")
    _check_length(request, servable)
    _check_ids(request, servable.manifest.vocabulary_size)
    _check_allowed_tokens(request, servable)


def new_sequence(request: GenerateRequest, servable: ServableDescription, name: str) -> TokenSequence:
    """Returns the sequence `name` of a request that `check` has accepted."""
    vocabulary_size = servable.manifest.vocabulary_size
    allowed = request.sampling.allowed_token_ids
    return TokenSequence(
        id=name,
        prompt=request.prompt_ids,
        max_tokens=request.max_tokens,
        sampling=_limit_logprobs(request.sampling, vocabulary_size),
        eos=_end_ids(request, servable),
        mask=None if allowed is None else token_mask.pack(allowed, vocabulary_size),
    )


def _end_ids(request: GenerateRequest, servable: ServableDescription) -> frozenset[int]:
    """The token ids that end the answer: the model's, unless ignored, and the request's."""
    eos = () if request.ignore_eos else servable.manifest.special_tokens.eos
    return frozenset((*eos, *request.sampling.stop_token_ids))


def _limit_logprobs(params: SamplingParams, vocabulary_size: int) -> SamplingParams:
    """`params`, asking for the log-probabilities of `vocabulary_size` tokens at most."""
    if params.logprobs is None or params.logprobs <= vocabulary_size:
        return params
    return replace(params, logprobs=vocabulary_size)


def _check_length(request: GenerateRequest, servable: ServableDescription) -> None:
    length, limit = len(request.prompt_ids) + request.max_tokens, servable.manifest.context_length
    if length > limit:
        raise ContextOverflow(
            f"prompt ({len(request.prompt_ids)} tokens) and max_tokens ({request.max_tokens}) "
            f"make {length} tokens; the context of {servable.id.model} holds {limit}",
            param="max_tokens",
        )


def _check_ids(request: GenerateRequest, vocabulary_size: int) -> None:
    sampling = request.sampling
    ids_of_params: dict[str, Iterable[int]] = {
        "prompt": request.prompt_ids,
        "logit_bias": (token for token, _ in sampling.logit_bias),
        "stop_token_ids": sampling.stop_token_ids,
        "allowed_token_ids": sampling.allowed_token_ids or (),
    }
    for param, ids in ids_of_params.items():
        wrong = next((i for i in ids if not 0 <= i < vocabulary_size), None)
        if wrong is not None:
            raise RequestError(
                f"token id {wrong} of {param} is outside the vocabulary; ids are 0 to {vocabulary_size - 1}",
                param,
            )


def _check_allowed_tokens(request: GenerateRequest, servable: ServableDescription) -> None:
    """Before the answer has `min_tokens`, end tokens are banned: another token must be allowed."""
    sampling = request.sampling
    if sampling.allowed_token_ids is None or not sampling.min_tokens:
        return
    if frozenset(sampling.allowed_token_ids) <= _end_ids(request, servable):
        raise RequestError(
            "allowed_token_ids must hold a token that does not end the answer, "
            f"because min_tokens is {sampling.min_tokens}",
            "allowed_token_ids",
        )
