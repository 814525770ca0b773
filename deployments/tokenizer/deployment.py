"""The tokenizer deployment: converts prompts to token ids.

One deployment serves all models. The tokenizers and chat templates come from the servables.
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
"""Characters from which on a prompt is encoded in a thread, so that other requests need not wait."""


@serve.deployment
class Tokenizer:
    """Encodes prompts for every model; `decoders` maps a model's name to its decoder."""

    def __init__(self, decoders: remote.Handles) -> None:
        self._decoders = decoders
        self._encoders = ServableCache(self._fetch, PromptEncoder)

    async def encode(self, prompt: Prompt, stale: ServableId | None = None) -> EncodedPrompt:
        """Encodes a prompt; `stale` is a version that is known to be replaced and must not be used.

        Raises RequestError if the model cannot take the prompt, ContextOverflow if it is too long.
        """
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
