"""The detokenizer deployment: drives a decoder and turns its tokens into text, for every model.

Does not know HTTP or how tokens are chosen; tokenizers come from the servables.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from ray import serve
from tokenizers import Tokenizer

from deployments import streams
from deployments.messages import GenerateRequest, Servable, TextChunk, TokenChunk
from deployments.servables import ServableCache
from deployments.text_assembler import TextAssembler


@dataclass(frozen=True)
class Vocabulary:
    """What one servable's tokens stand for."""

    tokenizer: Tokenizer
    eos: frozenset[int]

    @staticmethod
    def of(servable: Servable) -> "Vocabulary":
        tokenizer = Tokenizer.from_buffer(servable.tokenizer)
        return Vocabulary(tokenizer, frozenset(servable.manifest.special_tokens.eos))

    def assembler(self, request: GenerateRequest) -> TextAssembler:
        return TextAssembler(self.tokenizer, request.stop, self.eos)


@serve.deployment
class Detokenizer:
    """One for all models; `decoders` maps a model's name to its decoder."""

    def __init__(self, decoders: streams.Handles) -> None:
        self._decoders = decoders
        self._streaming = {model: decoder.options(stream=True) for model, decoder in decoders.items()}
        self._vocabularies = ServableCache(self._fetch, Vocabulary.of)

    async def generate(self, request: GenerateRequest) -> AsyncIterator[TextChunk]:
        """The generation's text; the chunk with `finish` is the last, whoever ended it."""
        assembler = (await self._vocabularies.exactly(request.servable)).assembler(request)
        async with aclosing(self._tokens(request)) as chunks:
            async for chunk in chunks:
                if text := assembler.push(chunk):
                    yield text
                if text and text.finish and not chunk.finish:
                    return

    def _tokens(self, request: GenerateRequest) -> streams.Stream[TokenChunk]:
        return streams.items(self._streaming[request.servable.model].generate.remote(request))

    async def _fetch(self, model: str) -> Servable:
        return await streams.servable(self._decoders[model])
