"""The detokenizer deployment: runs generations on the decoders and converts their token ids to text.

One deployment serves all models. The tokenizers come from the servables.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from ray import serve
from tokenizers import Tokenizer

from deployments.detokenizer.text_assembler import TextAssembler
from deployments.detokenizer.token_decoder import TokenDecoder
from deployments.detokenizer.token_texts import TokenTexts
from deployments.messages import GenerateRequest, ServableDescription, TextChunk, TokenChunk
from deployments.servable_cache import ServableCache
from deployments.streams import remote
from deployments.streams.frames import LaneAddress
from deployments.streams.outlets import Outlets


@dataclass(frozen=True)
class Vocabulary:
    """The tokenizer of one servable, prepared for decoding, and its end-of-sequence ids."""

    decoder: TokenDecoder
    texts: TokenTexts
    eos: frozenset[int]

    @staticmethod
    def of(servable: ServableDescription) -> "Vocabulary":
        """Builds the vocabulary of `servable`."""
        tokenizer = Tokenizer.from_buffer(servable.tokenizer)
        eos = frozenset(servable.manifest.special_tokens.eos)
        return Vocabulary(TokenDecoder(tokenizer), TokenTexts(tokenizer), eos)

    def assembler(self, request: GenerateRequest) -> TextAssembler:
        """Creates the text assembler of one request."""
        texts = None if request.sampling.logprobs is None else self.texts
        return TextAssembler(self.decoder, request.prompt_ids, request.stop, self._end_ids(request), texts)

    def _end_ids(self, request: GenerateRequest) -> frozenset[int]:
        return frozenset(request.sampling.stop_token_ids).union(() if request.ignore_eos else self.eos)


@serve.deployment
class Detokenizer:
    """Generates text for every model; `decoders` maps a model's name to its decoder."""

    def __init__(self, decoders: remote.Handles) -> None:
        self._decoders = decoders
        self._generate = {model: remote.Method(decoder, "generate") for model, decoder in decoders.items()}
        self._inbox = remote.open_inbox()
        self._outlets = Outlets()
        self._vocabularies = ServableCache(self._fetch, Vocabulary.of)

    async def generate(self, request: GenerateRequest, reader: LaneAddress) -> None:
        """Writes the generation's text chunks into the lane `reader`; the last one has `finish` set.

        Raises the decoder's errors, and ServableReplaced if another version of the model is served by now.
        """
        await remote.write_stream(reader, self._outlets, self._texts(request))

    async def _texts(self, request: GenerateRequest) -> AsyncGenerator[TextChunk, None]:
        assembler = (await self._vocabularies.exactly(request.servable)).assembler(request)
        async with aclosing(await self._tokens(request)) as chunks:
            async for chunk in chunks:
                if text := assembler.push(chunk):
                    yield text
                if text and text.finish and not chunk.finish:
                    return

    async def _tokens(self, request: GenerateRequest) -> remote.Stream[TokenChunk]:
        lane = await self._inbox.open()
        response = self._generate[request.servable.model](request, lane.address)
        return remote.read_stream(response, lane, TokenChunk.unpacked)

    async def _fetch(self, model: str) -> ServableDescription:
        return await remote.fetch_servable(self._decoders[model])
