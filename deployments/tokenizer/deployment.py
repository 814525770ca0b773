"""The tokenizer deployment: prompts to token ids, for every model of the application.

Does not know HTTP, sampling or decoding; tokenizers and templates come from the servables.
"""

import asyncio

from ray import serve

from deployments.messages import (
    ChatPrompt,
    EncodedPrompt,
    Prompt,
    ServableDescription,
    ServableId,
    TextPrompt,
    TokenPrompt,
)
from deployments.servable_cache import ServableCache
from deployments.streams import remote
from deployments.tokenizer.prompt_encoder import PromptEncoder

LONG_PROMPT = 20_000
"""Characters from which a prompt is encoded in a thread, so that it does not hold up the others."""


@serve.deployment
class Tokenizer:
    """One for all models; `decoders` maps a model's name to its decoder."""

    def __init__(self, decoders: remote.Handles) -> None:
        self._decoders = decoders
        self._encoders = ServableCache(self._fetch, PromptEncoder)

    async def encode(self, prompt: Prompt, stale: ServableId | None = None) -> EncodedPrompt:
        """The prompt as ids; `stale` is a version known to be served no longer."""
        encoder = await self._encoders.current(prompt.model, stale)
        if _size(prompt) < LONG_PROMPT:
            return encoder.encode(prompt)
        return await asyncio.to_thread(encoder.encode, prompt)

    async def _fetch(self, model: str) -> ServableDescription:
        return await remote.fetch_servable(self._decoders[model])


def _size(prompt: Prompt) -> int:
    match prompt:
        case TextPrompt(text=text):
            return len(text)
        case TokenPrompt(ids=ids):
            return len(ids)
        case ChatPrompt(messages=messages):
            return sum(len(message.content) for message in messages)
